/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forced schedules: code under test is compiled into the test with a stop before each of its atomic operations, where
 * another thread's turn is played. All interleavings with one change of threads are gone through, in one real thread.
 */
#ifndef TESTS_MUSEUM_MUSEUM_STEPS_H
#define TESTS_MUSEUM_MUSEUM_STEPS_H

#include "fake_host.h"

static void (*museum_at_stop)(void);
static unsigned museum_steps_left;

/* Called before each atomic operation. */
static inline void museum_step(void)
{
    void (*turn)(void) = museum_at_stop;

    if (turn != NULL && museum_steps_left-- == 0) {
        museum_at_stop = NULL; /* the other's turn is not stopped */
        turn();
    }
}

/* The turn is played once, before the atomic operation with this number, from 0, that comes from now on. */
static inline void museum_stop_before(unsigned step, void (*turn)(void))
{
    museum_steps_left = step;
    museum_at_stop = turn;
}

/* True if the turn was played; if not, there were fewer operations than that. */
static inline bool museum_stopped(void)
{
    bool stopped = museum_at_stop == NULL;

    museum_at_stop = NULL;
    return stopped;
}

#endif
