/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Posting into the vmx backend's descriptor, by software and by hardware, to a vCPU that enters, exits, sleeps, is put, loaded and moved between two
 * physical CPUs. The labels are the steps of docs/CONCURRENCY.md, section 6, and of src/backends/vmx/vlapic_vmx_post.c. All steps are
 * locked operations or sequentially consistent loads, hence single steps here. Trigger modes: modes.pml.
 *
 * An interrupt that was sent stays with the APIC of its physical CPU until that takes it, at any time later: the vCPU may have left by then.
 * There may be other vCPUs, whose guests take notifications that come while they run: harmless, and the same as a host that swallows them.
 *
 * Claims, checked whenever nothing can happen any more (`timeout`): all that was posted has been collected or processed; nothing is
 * outstanding, so that the next post notifies; hence the owner does not sleep with something to do.
 *
 * Each -DBREAK_... is a mistake that the claims must find.
 */
#define POSTERS 2
#define VECTORS 2

#define HOST 0
#define GUEST 1
#define HALTED 2

#define NOTIFICATION 0
#define WAKEUP 1

/* The descriptor. */
bit pir[VECTORS];
bit ON;
bit SN = 1;
bit NV = NOTIFICATION;
bit NDST;

/* The core's. */
bit POSTED;
byte run_state = HOST;

bit kicked;
bit listed[2]; /* blocked vCPUs of each physical CPU */

/* The owner's thread. */
bit where;      /* the physical CPU that it is on */
bit loaded;
bit held_off;   /* with host interrupts disabled */
bit inside;     /* the guest runs */
bit processing; /* posted-interrupt processing is under way */

/* What has arrived at the physical CPUs. */
bit notification[2], wake_up[2];

byte done;

inline send(destination, vector)
{
    if
    :: vector == NOTIFICATION -> notification[destination] = 1
    :: else -> wake_up[destination] = 1
    fi
}

/* VIRR |= PIR, PIR := 0 */
inline take_pir()
{
    pir[0] = 0;
    pir[1] = 0
}

/* ---- posters ---- */

proctype software()
{
    byte n;
    bit old, destination, vector;

    for (n : 1 .. 2) {
#ifdef BREAK_NOTIFY_BEFORE_PIR
        goto D2;
D1:
        pir[0] = 1;
        goto next;
#else
D1:
        atomic { old = pir[0]; pir[0] = 1 };
        if
        :: old -> goto next
        :: else
        fi;
#endif
D2:
        atomic { old = ON; ON = 1 };
        if
        :: old -> goto told
        :: else
        fi;
P4:
        if
        :: run_state == GUEST ->
            atomic { destination = NDST; vector = NV };
            send(destination, vector);
            goto told
        :: else
        fi;
P2:
        atomic { old = POSTED; POSTED = 1 };
        if
        :: old -> goto told
        :: else
        fi;
P3:
        if
        :: run_state != HOST -> kicked = 1
        :: else
        fi;
told:
#ifdef BREAK_NOTIFY_BEFORE_PIR
        goto D1;
#endif
next:
        atomic { old = 0; destination = 0; vector = 0 }
    }
    done++
}

/* IPI virtualization, or an IOMMU. */
proctype hardware()
{
    bit destination, vector;

    pir[1] = 1;
    atomic {
        if
        :: !ON && !SN -> ON = 1; destination = NDST; vector = NV
        :: else -> goto sent
        fi
    };
    send(destination, vector);
sent:
    done++
}

/* ---- a physical CPU takes what has arrived ---- */

#define runs_guest(p) (inside && where == p)
#define can_take(p) !(held_off && where == p)

proctype physical_cpu(bit p)
{
end:
    do
    :: atomic { notification[p] && runs_guest(p) -> notification[p] = 0; processing = 1 };
        ON = 0;
        take_pir();
        processing = 0
    :: atomic { notification[p] && !runs_guest(p) && can_take(p) -> notification[p] = 0 }
    :: atomic {
           wake_up[p] && can_take(p) -> wake_up[p] = 0;
           if
           :: listed[p] && ON -> kicked = 1
           :: else
           fi
       }
    od
}

/* ---- the owner ---- */

/* [D6] Two looks: vectors are in different words. */
inline find_unannounced()
{
    if
    :: pir[0] -> ON = 1
    :: else ->
        if
        :: pir[1] -> ON = 1
        :: else
        fi
    fi
}

inline notify_here()
{
#ifdef BREAK_LOAD_KEEPS_NDST
    atomic { NV = NOTIFICATION; SN = 0 };
#else
    atomic { NDST = where; NV = NOTIFICATION; SN = 0 };
#endif
#ifndef BREAK_SN_IGNORED_AT_LOAD
    find_unannounced()
#endif
}

inline put()
{
    atomic { SN = 1; loaded = 0 }
}

inline load()
{
    atomic {
        loaded = 1;
        if
        :: where = 0
        :: where = 1
        fi
    };
    notify_here()
}

/* The thread of a sleeper is put, and loaded anywhere. */
inline move_asleep()
{
    atomic {
        if
        :: loaded = 0
        :: loaded = 1; where = 0
        :: loaded = 1; where = 1
        fi
    };
#ifdef BREAK_LOAD_OF_A_SLEEPER
    if
    :: loaded -> atomic { NDST = where; NV = WAKEUP; SN = 0 }; find_unannounced()
    :: else
    fi
#endif
}

inline unblock()
{
    atomic { listed[0] = 0; listed[1] = 0 };
    if
    :: loaded -> notify_here()
    :: else -> SN = 1
    fi
}

/* [D7] */
inline block()
{
#ifndef BREAK_LIST_AFTER_VECTOR
    listed[NDST] = 1;
#endif
#ifdef BREAK_BLOCK_KEEPS_NV
    SN = 0;
#else
    atomic { NV = WAKEUP; SN = 0 };
#endif
#ifndef BREAK_SN_IGNORED_AT_BLOCK
    find_unannounced()
#endif
}

active proctype owner()
{
    bit on;

    load();
poll:
    if
    :: POSTED ->
        POSTED = 0; /* C1 */
#ifdef BREAK_ON_CLEARED_AFTER_PIR
        take_pir();
        ON = 0
#else
        ON = 0;     /* D5 */
        take_pir()
#endif
    :: else
    fi;
    if
    :: skip
    :: loaded -> put()
    :: !loaded -> load()
    fi;
    if
    :: loaded -> goto enter
    :: goto halt
    fi;

enter:
#ifndef BREAK_NOT_HELD_OFF
    held_off = 1;
#endif
    run_state = GUEST; /* E1 */
E2:
    if
    :: POSTED -> goto stay
    :: else
    fi;
#ifndef BREAK_ENTER_IGNORES_ON
    if
    :: ON -> POSTED = 1; goto stay
    :: else
    fi;
#endif
    atomic { inside = 1; held_off = 0 };
end_inside:
    /* The guest may exit by itself; with nothing to do it runs for ever. */
    if
    :: atomic { kicked && !processing -> kicked = 0; inside = 0 }
    :: atomic { done < POSTERS && !processing -> inside = 0 }
    fi;
stay:
    atomic { held_off = 0; run_state = HOST };
    goto poll;

halt:
    run_state = HALTED; /* H1 */
#ifdef BREAK_BLOCK_LOOKS_FIRST
    on = ON;
    block();
#else
    block();
    on = ON; /* H2 */
#endif
    if
    :: on -> POSTED = 1; on = 0; goto awake
    :: POSTED -> goto awake
    :: else
    fi;
#ifdef BREAK_LIST_AFTER_VECTOR
    listed[NDST] = 1;
#endif
end_asleep:
    do
    :: kicked -> kicked = 0; goto awake
    :: done < POSTERS -> move_asleep()
    od;
awake:
    unblock();
    run_state = HOST;
    goto poll
}

active proctype monitor()
{
    atomic {
        run physical_cpu(0);
        run physical_cpu(1);
        run software();
        run hardware()
    };
    timeout;
    assert(done == POSTERS);
    assert(!pir[0] && !pir[1]);
    assert(!ON && !POSTED)
}
