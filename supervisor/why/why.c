/* why.c — see why.h. */
#include "supervisor/why/why.h"

#include "supervisor/why/gather.h"
#include "supervisor/why/query.h"
#include "supervisor/why/tell.h"

int why(const struct command *command)
{
    struct facts facts;
    struct causes causes;
    char wrong[ADDRESS_WHY_BYTES];
    if (!query_parse(command->addresses[0], &facts, wrong)) {
        fprintf(stderr, "perdure: %s\n", wrong);
        return 2;
    }
    gather_all(&facts, !command->no_try, &causes);
    if (command->json) {
        tell_json(stdout, &facts, &causes);
    } else {
        tell_page(stdout, &facts, &causes);
    }
    facts_free(&facts);
    return causes_let_pass(&causes) ? 0 : 1;
}
