# Makefile — builds perdure and perdure-worker into build/, and their tests.
#
#   make            both programs
#   make check      unit tests, what fuzzing starts from and has found, then end-to-end tests
#   make faults     the same programs, with calls that fail on order, in build/faults/
#   make asan       the same programs and unit tests under ASAN and UBSAN, in build/asan/
#   make replay     the inputs of tests/fuzz to every fuzz target; scripts/fuzz fuzzes them
#   make bench      what scripts/bench needs besides both programs
#   make lint       clang-tidy, cppcheck, mandoc, the map of the code
#   make install PREFIX=/usr/local DESTDIR=
#   make clean

VERSION := 0.1.0
PREFIX  ?= /usr/local
DESTDIR ?=
SYSCONF ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
BUILD   ?= build
CC      ?= gcc
PYTEST  ?= pytest-3

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wpointer-arith -Wformat=2 \
            -Wvla -Wundef -Wconversion -Wno-sign-conversion
# Of what is not in every compiler and C library (locals that begin as zero, jumps and returns that end where they belong,
# on x86 and on arm, copies bounded by sizes known at run time), all that is offered. scripts/hardening looks what came of it.
offered   = $(foreach flag,$(1),$(shell $(CC) -Werror -O2 -U_FORTIFY_SOURCE $(flag) -include stdio.h -c -x c -o /dev/null \
                /dev/null 2>/dev/null && echo ' $(flag)'))
FORTIFY  := $(or $(call offered,-D_FORTIFY_SOURCE=3),-D_FORTIFY_SOURCE=2)
HARDEN   := -fPIE -fstack-protector-strong -U_FORTIFY_SOURCE $(FORTIFY) $(call offered,-ftrivial-auto-var-init=zero \
                -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard)
OPTIMISE := -O2
CPPFLAGS += -D_GNU_SOURCE -I. -I$(BUILD) -DPERDURE_VERSION='"$(VERSION)"' $(DEFINES)
CFLAGS   += -std=gnu11 -g $(OPTIMISE) $(WARNINGS) $(HARDEN)
LDFLAGS  += -pie -Wl,-z,relro,-z,now
LDLIBS   += -lconfuse
# The worker is not linked with them: it is static, and of libmnl Debian has the shared library only. libseccomp tells the
# names of system calls.
SUPERVISOR_LDLIBS := -lcap -lmnl -lseccomp

# A worker's birth is part of the gap after a death, and dynamic linking was a third of a birth. The sanitizers need it.
WORKER_LDFLAGS := $(if $(findstring -fsanitize,$(OPTIMISE)),,-static-pie)

# One request crosses thirty small files: the linker sees all of them, and saves a ninth of a request's instructions. The
# objects can be linked without that, too, as unit tests are. Not with calls wrapped, nor with the sanitizers.
ifndef FAULTS
LTO := $(if $(findstring -fsanitize,$(OPTIMISE)),,$(call offered,-flto=auto -ffat-lto-objects))
endif

# The build `faults`: calls that fail on order (tests/faults/inject.h). The supervisor, being dynamic, wraps no malloc.
FAULT_CALLS      := $(shell sed -n 's/^CALL.\([a-z0-9_]*\),.*/\1/p' tests/faults/calls.def) syscall kill prctl clock_gettime time cfg_init cfg_parse_buf
FAULT_ALLOCATORS := malloc calloc realloc
wrapped           = $(patsubst %,-Wl$(comma)--wrap=%,$(1))
comma            := ,
ifdef FAULTS
SUPERVISOR_FAULTS := $(BUILD)/tests/faults/inject_dynamic.o
WORKER_FAULTS     := $(BUILD)/tests/faults/inject.o
SUPERVISOR_LDLIBS += $(call wrapped,$(filter-out $(FAULT_ALLOCATORS),$(FAULT_CALLS)))
WORKER_LDFLAGS    += $(call wrapped,$(FAULT_CALLS))
endif

INHERIT    := $(wildcard supervisor/inherit/*.c)
SUPERVISOR := $(filter-out supervisor/main.c,$(wildcard supervisor/*.c supervisor/why/*.c))
WORKER     := $(filter-out worker/main.c worker/no_users.c,$(wildcard worker/*.c))
FIXTURES   := $(filter-out %_test.c,$(wildcard tests/unit/worker/*.c))
UNITS      := $(wildcard tests/unit/*/*_test.c tests/unit/*/*/*_test.c)
FUZZ       := $(wildcard tests/fuzz/worker/*.c tests/fuzz/supervisor/*.c)
JUDGE      := $(wildcard tests/judge/*.c)

object     = $(patsubst %.c,$(BUILD)/%.o,$(1))
UNIT_BINS := $(patsubst %.c,$(BUILD)/%,$(UNITS))
FUZZ_BINS := $(patsubst %.c,$(BUILD)/%,$(FUZZ))
SANITIZED := OPTIMISE='-O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -Wno-format-truncation' \
             HARDEN=-fPIE

.PHONY: all check check-unit check-fuzz check-e2e replay fuzz targets layout faults asan lint install clean judges bench
all: $(BUILD)/perdure $(BUILD)/perdure-worker

$(BUILD)/perdure: $(call object,supervisor/main.c) $(SUPERVISOR_FAULTS) $(BUILD)/libsupervisor.a $(BUILD)/libinherit.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(SUPERVISOR_LDLIBS)
$(BUILD)/perdure-worker: $(call object,worker/main.c worker/no_users.c) $(WORKER_FAULTS) $(BUILD)/libworker.a $(BUILD)/libinherit.a
	$(CC) $(CFLAGS) $(LDFLAGS) $(WORKER_LDFLAGS) -o $@ $^ $(LDLIBS)

$(call object,$(INHERIT) $(WORKER)): CFLAGS += $(LTO)
$(BUILD)/perdure-worker: WORKER_LDFLAGS += $(LTO)

$(BUILD)/libinherit.a: $(call object,$(INHERIT))
$(BUILD)/libsupervisor.a: $(call object,$(SUPERVISOR))
$(BUILD)/libworker.a: $(call object,$(WORKER))
$(BUILD)/libfixture.a: $(call object,$(FIXTURES))
$(BUILD)/lib%.a:
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/faults/inject_dynamic.o: tests/faults/inject.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -DFAULT_DYNAMIC -MMD -MP -c -o $@ $<

# A unit test links the program it tests without its main; it may include the .c's private parts by including the .c.
$(BUILD)/tests/unit/supervisor/%_test: $(BUILD)/tests/unit/supervisor/%_test.o $(BUILD)/libsupervisor.a $(BUILD)/libinherit.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(SUPERVISOR_LDLIBS) -lcmocka
$(BUILD)/tests/unit/worker/%_test: $(BUILD)/tests/unit/worker/%_test.o $(BUILD)/libfixture.a $(BUILD)/libworker.a $(BUILD)/libinherit.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# The judge: a load client that compares every byte.
$(BUILD)/judge: $(call object,$(JUDGE))
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
# What counts the instructions of a request.
$(BUILD)/steps: $(call object,tests/steps/steps.c)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
judges: $(BUILD)/judge $(BUILD)/steps

# What scripts/bench needs besides the servers: the limit, and a client that asks at a steady rate.
$(BUILD)/limit: $(call object,tests/bench/limit.c)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
$(BUILD)/pacer: $(call object,tests/bench/pacer.c)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
bench: all $(BUILD)/limit $(BUILD)/pacer

# A fuzz target: what drives it is replay.c, or what -fsanitize=fuzzer of clang or afl-clang-fast brings (FUZZER).
FUZZER      :=
FUZZ_DRIVER := $(if $(FUZZER),,$(BUILD)/tests/fuzz/replay.o)
$(BUILD)/tests/fuzz/supervisor/%: $(BUILD)/tests/fuzz/supervisor/%.o $(FUZZ_DRIVER) $(BUILD)/libsupervisor.a $(BUILD)/libinherit.a
	$(CC) $(CFLAGS) $(FUZZER) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(SUPERVISOR_LDLIBS) -lcmocka
$(BUILD)/tests/fuzz/worker/%: $(BUILD)/tests/fuzz/worker/%.o $(FUZZ_DRIVER) $(BUILD)/libfixture.a $(BUILD)/libworker.a $(BUILD)/libinherit.a
	$(CC) $(CFLAGS) $(FUZZER) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka
fuzz: $(FUZZ_BINS)
replay: $(FUZZ_BINS)
	@for program in $^; do $$program tests/fuzz/*/$${program##*/} || exit 1; done

check: check-unit check-fuzz check-e2e
check-unit: $(UNIT_BINS)
	@scripts/unit $(UNIT_BINS)
	@$(PYTEST) -q -p no:cacheprovider tests/bench
check-fuzz:
	@$(MAKE) -s BUILD=build/asan $(SANITIZED) replay
check-e2e: all judges targets layout faults
	PERDURE_BUILD=$(abspath $(BUILD)) $(PYTEST) -q tests/e2e

# The same programs with targets that crash or hang a worker (worker/test_target.h), for tests only.
targets:
	$(MAKE) BUILD=$(BUILD)/targets DEFINES=-DPERDURE_TEST_TARGETS all

# The same programs with cells that are laid out in another way, and a worker of which nobody raised the number for that.
layout:
	$(MAKE) BUILD=$(BUILD)/layout DEFINES=-DPERDURE_TEST_CELL_LAYOUT=CELL_LAYOUT_NUMBER+1 all
	$(MAKE) BUILD=$(BUILD)/unnumbered DEFINES=-DPERDURE_TEST_CELL_LAYOUT=CELL_LAYOUT_NUMBER \
		$(BUILD)/unnumbered/perdure-worker

# The same programs with calls that fail on order, for the tests of what a machine in trouble does to us.
faults:
	$(MAKE) BUILD=$(BUILD)/faults FAULTS=1 all

asan:
	$(MAKE) BUILD=build/asan $(SANITIZED) all $(if $(filter check,$(MAKECMDGOALS)),check,)

lint:
	scripts/lint

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/libexec $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/man/man5
	install -m 755 $(BUILD)/perdure $(DESTDIR)$(PREFIX)/sbin/perdure
	install -m 755 $(BUILD)/perdure-worker $(DESTDIR)$(PREFIX)/libexec/perdure-worker
	install -m 644 supervisor/perdure.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 supervisor/perdure.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -d $(DESTDIR)$(SYSCONF)/perdure $(DESTDIR)$(SYSCONF)/init.d $(DESTDIR)$(SYSCONF)/logrotate.d \
		$(DESTDIR)$(PREFIX)/lib/systemd/system
	test -e $(DESTDIR)$(SYSCONF)/perdure/perdure.conf || \
		install -m 644 etc/perdure.conf $(DESTDIR)$(SYSCONF)/perdure/perdure.conf
	install -m 755 etc/init.d/perdure $(DESTDIR)$(SYSCONF)/init.d/perdure
	install -m 644 etc/logrotate.d/perdure $(DESTDIR)$(SYSCONF)/logrotate.d/perdure
	install -m 644 etc/systemd/perdure.service $(DESTDIR)$(PREFIX)/lib/systemd/system/perdure.service

clean:
	rm -rf build

-include $(shell find $(addprefix $(BUILD)/,supervisor worker tests) -type f -name '*.d' 2>/dev/null)
.SECONDARY:
