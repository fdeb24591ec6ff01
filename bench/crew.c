#include "bench/crew.h"

#include <stdio.h>

const rh_member rh_crew[RH_CREW_MAX] = {
    { "ringhub", { "@bench/ours" } },
    { "qpid-proton", { "@bench/rivals/proton" } },
    { "rhea", { "bench/rivals/node.sh", "bench/rivals/rhea.js" } },
    { "@azure/event-hubs", { "bench/rivals/node.sh", "bench/rivals/event_hubs.js" } },
    { "uamqp", { "/usr/bin/python3", "bench/rivals/azure_uamqp.py" } },
};

bool rh_crew_start(const rh_member *member, const char *build, const rh_start *start, rh_runner *runner)
{
    char        path[1024];
    const char *argv[4] = { path, member->argv[1], member->argv[2], NULL };
    bool        built   = member->argv[0][0] == '@';
    snprintf(path, sizeof path, "%s%s%s", built ? build : "", built ? "/" : "", member->argv[0] + built);
    rh_start own = *start;
    own.argv     = argv;
    return rh_runner_start(runner, &own);
}
