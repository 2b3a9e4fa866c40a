/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hand-over of posted vectors: post, notify, drain, enter, exit, halt. The labels are the steps of docs/CONCURRENCY.md and of
 * src/core/vlapic_mailbox.h and vlapic_work.c. Atomics of the C code are sequentially consistent, hence single steps here; what a
 * poster stored before the post is an ordinary store, which waits in a store buffer until something flushes it. Both kinds of VM are gone
 * through: `ordered` is the setting posts_ordered, by which the embedder promises that nothing waits there any more.
 *
 * Claims, checked whenever nothing can happen any more (`timeout`): the owner has handled every vector, with the data stored
 * before the last post of it; and it does not sleep with something to do.
 *
 * Each -DBREAK_... is a mistake that the claims must find.
 */
#define POSTERS 3 /* two of them post the same vector */
#define VECTORS 2
#define POSTS(p) ((p) == 2 -> 1 : 2)

#define HOST 0
#define GUEST 1
#define HALTED 2

bit posted[VECTORS];
bit POSTED;
byte run_state = HOST;
bit kicked;
bit ordered;

/* What a poster stores before it posts, per poster: in memory, and on its way there. */
byte memory[POSTERS], buffer[POSTERS];
bit buffered[POSTERS];
byte seen[POSTERS];
byte done;

#define flushed(p) (!buffered[p])

proctype store_buffer(byte p)
{
end:
    do
    :: atomic { buffered[p] -> memory[p] = buffer[p]; buffered[p] = 0 }
    od
}

proctype poster(byte p; byte v)
{
    byte n;
    bit old, announced;

    for (n : 1 .. POSTS(p)) {
        flushed(p);
        atomic {
            if
#ifndef BREAK_PROMISE
            :: ordered -> memory[p] = n
#endif
            :: else -> buffer[p] = n; buffered[p] = 1
            fi
        }
P0:
        if
        :: posted[v] && ordered -> goto next
        :: posted[v] && !ordered ->
#ifndef BREAK_NO_FENCE
            flushed(p); /* fence */
#endif
            if
            :: posted[v] -> goto next
            :: else
            fi
        :: else
        fi;
#ifdef BREAK_LOOK_BEFORE_POST
        announced = POSTED;
#endif
P1:
        atomic { flushed(p) -> old = posted[v]; posted[v] = 1 };
        if
        :: old -> goto next
        :: else
        fi;
#ifndef BREAK_LOOK_BEFORE_POST
        announced = POSTED; /* a look is enough */
#endif
        if
        :: announced -> goto next
        :: else
        fi;
P2:
        atomic { old = POSTED; POSTED = 1 };
        if
        :: old -> goto next
        :: else
        fi;
P3:
        if
        :: run_state != HOST ->
#ifdef BREAK_KICK_THE_GUEST_ONLY
            if
            :: run_state == GUEST -> kicked = 1
            :: else
            fi
#else
            kicked = 1
#endif
        :: else
        fi;
next:
        old = 0;
        announced = 0
    }
    done++
}

/* The handler of vector v looks at what all its posters have stored. */
inline handle(v)
{
    atomic {
        if
        :: v == 0 -> seen[0] = memory[0]; seen[1] = memory[1]
        :: else -> seen[2] = memory[2]
        fi
    }
}

inline take(v)
{
    if
    :: posted[v] -> atomic { taken = posted[v]; posted[v] = 0 }; if :: taken -> handle(v) :: else fi
    :: else
    fi
}

active proctype owner()
{
    bit taken;
    byte away;

poll:
    if
    :: POSTED ->
#ifdef BREAK_CLEAR_AFTER_COLLECT
        take(0);
        take(1);
        POSTED = 0
#else
        POSTED = 0; /* C1 */
        take(0);    /* C2 */
        take(1)
#endif
    :: else
    fi;

    if
    :: away = GUEST
    :: away = HALTED
    fi;
#ifndef BREAK_STATE_AFTER_LOOK
E1: /* or H1 */
    run_state = away;
#endif
E2: /* or H2 */
    if
    :: POSTED -> run_state = HOST; goto poll
    :: else
    fi;
#ifdef BREAK_STATE_AFTER_LOOK
    run_state = away;
#endif
end:
    /* The guest may exit by itself; with nothing to do it runs, or sleeps, for ever. */
    if
    :: kicked -> kicked = 0
    :: run_state == GUEST && done < POSTERS -> skip
    fi;
    run_state = HOST;
    goto poll
}

active proctype monitor()
{
    byte p;

    atomic {
        if
        :: ordered = 0
        :: ordered = 1
        fi;
        for (p : 0 .. POSTERS - 1) {
            run store_buffer(p)
        }
        run poster(0, 0);
        run poster(1, 0);
        run poster(2, 1);
        p = 0
    };
    timeout;
    assert(done == POSTERS);
    assert(!posted[0] && !posted[1] && !POSTED);
    for (p : 0 .. POSTERS - 1) {
        assert(seen[p] == POSTS(p))
    }
}
