/* SPDX-License-Identifier: BSD-2-Clause */
/* The serial console, and the end of the machine. */
#include "host.h"
#include <stdarg.h>

#define COM1 0x3F8
#define LINE_STATUS (COM1 + 5)
#define LINE_STATUS_THRE 0x20
#define LINE_STATUS_TEMT 0x40

static bool console_busy;

void host_console_start(void)
{
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 0x80);
    out8(COM1 + 0, 1);
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 3);
    out8(COM1 + 2, 7);
}

static void put(char character)
{
    while ((in8(LINE_STATUS) & LINE_STATUS_THRE) == 0) {
        relax();
    }
    out8(COM1, (uint8_t)character);
}

static void put_number(uint64_t value, unsigned base)
{
    char digits[24];
    int count = 0;

    do {
        digits[count++] = "0123456789ABCDEF"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0) {
        put(digits[--count]);
    }
}

static void put_string(const char *string)
{
    while (*string != 0) {
        put(*string++);
    }
}

/* One conversion, without flags; %u, %x and %d of 64 bits with `ll`. */
static const char *put_conversion(const char *format, va_list *arguments)
{
    bool wide = format[0] == 'l' && format[1] == 'l';
    int64_t number;

    format += wide ? 2 : 0;
    switch (*format) {
    case 's':
        put_string(va_arg(*arguments, const char *));
        break;
    case 'c':
        put((char)va_arg(*arguments, int));
        break;
    case 'd':
        number = wide ? va_arg(*arguments, int64_t) : va_arg(*arguments, int);
        if (number < 0) {
            put('-');
        }
        put_number(number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 10);
        break;
    default:
        put_number(wide ? va_arg(*arguments, uint64_t) : va_arg(*arguments, uint32_t), *format == 'x' ? 16 : 10);
    }
    return format + 1;
}

/* One call is one piece of output: lines of two CPUs do not mix. */
void host_print(const char *format, ...)
{
    va_list arguments;

    while (__atomic_exchange_n(&console_busy, true, __ATOMIC_ACQUIRE)) {
        relax();
    }
    va_start(arguments, format);
    while (*format != 0) {
        if (*format == '%') {
            format = put_conversion(format + 1, &arguments);
        } else {
            put(*format++);
        }
    }
    va_end(arguments);
    __atomic_store_n(&console_busy, false, __ATOMIC_RELEASE);
}

/* QEMU goes by isa-debug-exit, Bochs by the word at port 8900h. Bochs loses what the serial port still holds, hence the wait. */
_Noreturn void host_end(bool pass)
{
    interrupts_off();
    host_print("RESULT %s\n", pass ? "PASS" : "FAIL");
    while ((in8(LINE_STATUS) & LINE_STATUS_TEMT) == 0) {
        relax();
    }
    out32(0xF4, pass ? 0 : 1);
    for (const char *word = "Shutdown"; *word != 0; word++) {
        out8(0x8900, (uint8_t)*word);
    }
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

_Noreturn void host_panic(const char *file, int line, const char *what)
{
    __atomic_store_n(&console_busy, false, __ATOMIC_RELEASE);
    host_print("PANIC %s:%d: %s\n", file, line, what);
    host_end(false);
}
