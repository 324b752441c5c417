/* simulate --live: a simulated or recorded sweep over OpenIGTLink. */
#include "simulate_live.h"

#include <math.h>

#include "echosolid/live.h"

static bool stop(void *context) {
    (void)context;
    return es_cancelled(NULL);
}

static int tell(const common_options *common, es_live_server *server, int64_t frames) {
    es_live_server_stats s = es_live_server_statistics(server);
    if (common->json)
        return app_print_json(json_pack("{s:I, s:I, s:I, s:I}", "frames", (json_int_t)frames,
                                        "clients", (json_int_t)s.connections, "messages_sent",
                                        (json_int_t)s.sent, "messages_dropped",
                                        (json_int_t)s.dropped));
    printf("%lld frames played, %llu messages sent, %llu dropped\n", (long long)frames,
           (unsigned long long)s.sent, (unsigned long long)s.dropped);
    return 0;
}

int simulate_serve(const common_options *common, const simulate_live *live, es_source *source,
                   bool preload, es_error *err) {
    es_live_server_options o = ES_LIVE_SERVER_DEFAULTS;
    es_live_play_options play = {.repeat = live->repeat, .stop = stop};
    int64_t frames = 0;
    o.port = (int)live->port;
    o.same_most = 400; /* as PlusServer, which drops nothing */
    o.queue_bytes = 1 << 28;
    if (preload) play.preload_bytes = (uint64_t)2 << 30;
    es_live_server *server = source ? es_live_server_new(&o, err) : NULL;
    if (server && !isnan(live->natnet)) {
        play.natnet = es_natnet_host_new((int)live->natnet, err);
        if (!play.natnet) {
            es_live_server_free(server);
            server = NULL;
        }
    }
    if (server)
        app_note(common, "OpenIGTLink is served at 127.0.0.1:%d; it starts with the first client",
                 es_live_server_port(server));
    if (play.natnet)
        app_note(common,
                 "the poses come by NatNet alone: live --connect 127.0.0.1:%d --tracker "
                 "natnet://127.0.0.1:%d",
                 es_live_server_port(server), es_natnet_host_port(play.natnet));
    bool ok = server && es_live_play(server, source, &play, &frames, err);
    int status =
        ok || (server && es_cancelled(NULL)) ? tell(common, server, frames) : app_fail(err);
    es_natnet_host_free(play.natnet);
    es_live_server_free(server);
    es_source_free(source);
    return status;
}
