/* cmocka_all.h — cmocka.h wants these before it. */
#ifndef PERDURE_TESTS_CMOCKA_ALL_H
#define PERDURE_TESTS_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
