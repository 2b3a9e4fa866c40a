#!/bin/bash -eu
# SPDX-License-Identifier: BSD-2-Clause
exec fuzz/oss-fuzz/build.sh
