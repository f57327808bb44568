/* privilege.c — see privilege.h, and "Setuid demystified" (Chen, Wagner, Dean 2002) for why each step is verified. */
#include "supervisor/privilege.h"

#include "supervisor/inherit/log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

bool privilege_find(const char *user, struct privilege *privilege, char error[PRIVILEGE_ERROR_BYTES])
{
    *privilege = (struct privilege){.change = false};
    if (user == NULL || geteuid() != 0) {
        return true;
    }
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL) {
        snprintf(error, PRIVILEGE_ERROR_BYTES, "user \"%.64s\": %s; create it or set user to another", user,
                 errno != 0 ? strerror(errno) : "there is no such user");
        return false;
    }
    int count = PRIVILEGE_GROUPS_MAX;
    if (getgrouplist(user, entry->pw_gid, privilege->groups, &count) < 0) {
        count = PRIVILEGE_GROUPS_MAX; /* as many as there is room for: fewer rights, never more */
    }
    privilege->change = true;
    privilege->user = entry->pw_uid;
    privilege->group = entry->pw_gid;
    privilege->groups_count = (size_t)count;
    return true;
}

/* What a supervisor needs for life. An upgraded one that needs more, gets it at the next stop and start. */
static bool is_for_supervisor(cap_value_t capability)
{
    switch (capability) {
    case CAP_NET_BIND_SERVICE: /* a reload's new addresses */
    case CAP_CHOWN:            /* unix sockets of another owner, */
    case CAP_FOWNER:           /* and their mode */
    case CAP_DAC_OVERRIDE:     /* run directory and logs of another user, */
    case CAP_DAC_READ_SEARCH:  /* and sites */
    case CAP_SETUID:
    case CAP_SETGID:
    case CAP_KILL:         /* workers */
    case CAP_SETPCAP:      /* workers, which can never have one again */
    case CAP_SYS_RESOURCE: /* as many descriptors as a reload asks for */
    case CAP_SYS_PTRACE:   /* /proc/PID/fd: who holds the address that a reload cannot have */
        return true;
    default:
        return false;
    }
}

void privilege_shed(void)
{
    cap_t now = cap_get_proc();
    cap_t wanted = cap_init();
    bool shed = now != NULL && wanted != NULL;
    for (cap_value_t capability = 0; shed && capability < cap_max_bits(); capability++) {
        cap_flag_value_t held = CAP_CLEAR;
        if (is_for_supervisor(capability)) {
            shed = cap_get_flag(now, capability, CAP_PERMITTED, &held) == 0 &&
                   cap_set_flag(wanted, CAP_PERMITTED, 1, &capability, held) == 0 &&
                   cap_set_flag(wanted, CAP_EFFECTIVE, 1, &capability, held) == 0;
        } else {
            (void)cap_drop_bound(capability); /* who may not, is not root, and gains nothing by an exec */
        }
    }
    if (!shed || cap_set_proc(wanted) != 0) {
        log_warn("capabilities that are not needed any more cannot be given up: %s", strerror(errno));
    }
    cap_free(now);
    cap_free(wanted);
}

void privilege_capabilities(char *text, size_t bytes)
{
    cap_t now = cap_get_proc();
    size_t used = 0;
    text[0] = '\0';
    for (cap_value_t capability = 0; now != NULL && capability < cap_max_bits(); capability++) {
        cap_flag_value_t held = CAP_CLEAR;
        if (cap_get_flag(now, capability, CAP_EFFECTIVE, &held) == 0 && held == CAP_SET && used < bytes) {
            char *name = cap_to_name(capability);
            int more = snprintf(text + used, bytes - used, "%s%s", used > 0 ? " " : "", name != NULL ? name : "?");
            used += more > 0 ? (size_t)more : 0;
            cap_free(name);
        }
    }
    cap_free(now);
}

/* Root may be regained through any of the three ids, or through a capability that was kept. */
static bool can_come_back(const struct privilege *privilege)
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    if (getresuid(&real, &effective, &saved) != 0 || getresgid(&real_group, &effective_group, &saved_group) != 0) {
        return true;
    }
    bool all_dropped = real == privilege->user && effective == privilege->user && saved == privilege->user &&
                       real_group == privilege->group && effective_group == privilege->group &&
                       saved_group == privilege->group;
    return !all_dropped || (privilege->user != 0 && (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0));
}

static const char *change_user(const struct privilege *privilege)
{
    if (setgroups(privilege->groups_count, privilege->groups) != 0) {
        return "setgroups";
    }
    if (setresgid(privilege->group, privilege->group, privilege->group) != 0) {
        return "setresgid";
    }
    if (setresuid(privilege->user, privilege->user, privilege->user) != 0) {
        return "setresuid";
    }
    return NULL;
}

const char *privilege_drop(const struct privilege *privilege)
{
    /* Neither a keep-capabilities flag nor ambient capabilities may carry rights over the change of user. */
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* Root's capabilities come back with the next exec, unless they are taken out of what may ever be had. */
    for (int capability = 0; geteuid() == 0 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++) {
    }
    const char *fault = privilege->change ? change_user(privilege) : NULL;
    if (fault != NULL) {
        return fault;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return "no_new_privs";
    }
    if (privilege->change && can_come_back(privilege)) {
        errno = EPERM;
        return "privileges could be regained";
    }
    return NULL;
}
