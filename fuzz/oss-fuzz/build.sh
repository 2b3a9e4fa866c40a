#!/bin/bash -eu
# SPDX-License-Identifier: BSD-2-Clause
# Builds every harness with the compiler, flags and engine of the environment (CC, CXX, CFLAGS, CXXFLAGS, LIB_FUZZING_ENGINE), and puts
# fuzzers, seeds, dictionaries and options into $OUT. Runs in the checkout.
: "${LIB_FUZZING_ENGINE:?}" "${OUT:?}" "${WORK:?}"

cmake -S . -B "$WORK/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DVLAPIC_DEBUG=ON -DVLAPIC_BUILD_TESTS=OFF -DVLAPIC_INSTALL=OFF
cmake --build "$WORK/build"

for fuzzer in "$WORK"/build/fuzz/fuzz_*; do
    [ -f "$fuzzer" ] && [ -x "$fuzzer" ] || continue
    name=$(basename "$fuzzer")
    corpus=fuzz/corpus/${name#fuzz_}
    max_len=512
    [ "$name" = fuzz_snapshot ] && max_len=2048
    cp "$fuzzer" "$OUT/"
    cp fuzz/vlapic.dict "$OUT/$name.dict"
    printf '[libfuzzer]\nmax_len = %s\n' $max_len >"$OUT/$name.options"
    if [ -d "$corpus" ]; then
        python3 -m zipfile -c "$OUT/${name}_seed_corpus.zip" "$corpus"/*
    fi
done
