/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One vector that is posted in both trigger modes, and once raised as a level by LINT0, to the vmx backend: through the descriptor if the mode is the published one, else through the
 * mailbox. The labels are the steps of docs/CONCURRENCY.md, sections 1, 2 and 6; enter, sleep and moves are those of posting.pml and
 * reduced here to what modes need. All steps are locked operations or sequentially consistent loads.
 *
 * Claims, checked whenever nothing can happen any more (`timeout`): nothing that was posted waits anywhere; and a level that was posted after
 * all edges had been has had its EOI heard, as that of a level.
 *
 * Each -DBREAK_... is a mistake that the claims must find.
 */
#define POSTERS 3 /* 0 and 1 post an edge, 2 a level */
#define IS_LEVEL(p) ((p) == 2)

#define HOST 0
#define GUEST 1

/* The descriptor's, and the backend's. */
bit pir, ON;
bit level; /* TMR, as published */
bit late;

/* The core's. */
bit mailbox, mailbox_level;
bit POSTED;
bit run_state = HOST;
bit irr;

bit kicked, notified;
byte done, edges_done;
bit alone; /* the level was posted after every edge */
bit heard; /* the EOI of a level, since then */

inline announce()
{
    atomic { old = POSTED; POSTED = 1 }; /* P2 */
    if
    :: old -> goto posted
    :: else
    fi;
    if
    :: run_state != HOST -> kicked = 1   /* P3 */
    :: else
    fi;
    goto posted
}

proctype poster(byte p)
{
    bit old, news;

    if
    :: atomic { p == 2 -> alone = edges_done == 2; heard = 0 }
    :: p != 2
    fi;
    if
    :: mailbox -> goto keep_here
    :: else
    fi;
    if
    :: level != IS_LEVEL(p) -> goto keep_here
    :: else
    fi;
D1:
    atomic { old = pir; pir = 1 };
#ifndef BREAK_DECLINE_WITHOUT_ON
    if
    :: atomic { !old -> news = !ON; ON = 1 } /* D2 */
    :: atomic { old -> old = 0 }
    fi;
#endif
#ifndef BREAK_LOOK_ONCE
D3:
    if
    :: atomic { level != IS_LEVEL(p) -> news = 0; goto keep_here }
    :: else
    fi;
#endif
#ifdef BREAK_DECLINE_WITHOUT_ON
    if
    :: atomic { !old -> news = !ON; ON = 1 }
    :: atomic { old -> old = 0 }
    fi;
#endif
    if
    :: !news -> goto posted
    :: atomic { news -> news = 0 }
    fi;
P4:
    if
    :: run_state == GUEST ->
        atomic { notified = run_state == GUEST; goto posted } /* a host swallows it */
    :: else
    fi;
    announce();

keep_here:
    if
    :: mailbox && mailbox_level == IS_LEVEL(p) -> goto posted /* P0 */
    :: else
    fi;
    mailbox_level = IS_LEVEL(p);
P1:
    atomic { old = mailbox; mailbox = 1 };
    if
    :: old -> goto posted
    :: else
    fi;
    announce();

posted:
    atomic {
        old = 0;
        done++;
        if
        :: !IS_LEVEL(p) -> edges_done++
        :: else
        fi
    }
}

/* D8 */
inline publish(mode)
{
    if
    :: level != mode ->
        level = mode;
#ifndef BREAK_PIR_KEPT_AT_CHANGE
        if
        :: atomic { pir -> pir = 0; late = 1 };
#ifndef BREAK_LATE_WITHOUT_ON
            ON = 1
#endif
        :: !pir
        fi
#endif
    :: else
    fi
}

inline collect()
{
    ON = 0; /* D5 */
    atomic { taken = pir; pir = 0 };
    if
    :: taken || late ->
#ifdef BREAK_LATE_IN_THE_OLD_MODE
        mode = (late -> !level : level);
#else
        mode = level || late;
#endif
        atomic { taken = 0; late = 0; irr = 1 };
        publish(mode);
        mode = 0
    :: else
    fi;
    atomic { taken = mailbox; mailbox = 0 };
    if
    :: taken -> atomic { taken = 0; irr = 1; mode = mailbox_level }; publish(mode); mode = 0
    :: else
    fi
}

/* The guest's handler, and its EOI. */
inline deliver()
{
    if
    :: irr -> irr = 0; heard = heard || level
    :: else
    fi
}

active proctype owner()
{
    bit taken, mode, raised;

poll:
    if
    :: POSTED -> POSTED = 0 /* C1 */; collect()
    :: else
    fi;
    if
    :: atomic { !raised -> raised = 1; irr = 1 }; publish(1) /* LINT0 */
    :: skip
    fi;
    /* E1 and E2 against P2 and P4: posting.pml. What is pending is delivered at once. */
    atomic {
        if
        :: POSTED || ON -> POSTED = 1; goto poll
        :: else -> run_state = GUEST; deliver()
        fi
    };
end_inside:
    do
    :: atomic { notified -> notified = 0; ON = 0 };
        atomic { irr = pir; pir = 0; deliver() }
    :: atomic { kicked -> kicked = 0; break }
    :: done < POSTERS -> break
    od;
    atomic { run_state = HOST; notified = 0 };
    goto poll
}

active proctype monitor()
{
    atomic {
        run poster(0);
        run poster(1);
        run poster(2)
    };
    timeout;
    assert(done == POSTERS);
    assert(!pir && !mailbox && !late && !irr);
    assert(!POSTED && !ON);
    assert(!alone || heard)
}
