/* echosolid: one program, one command per file. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "app.h"

/* clang-format off */
const command *const commands[] = {
    &command_plan,
    &command_info,
    &command_spacing,
    &command_doctor,
    &command_calibrate_pivot,
    &command_calibrate_spin,
    &command_calibrate_landmarks,
    &command_calibrate_lag,
    &command_calibrate_nwire,
    &command_calibrate_wall,
    &command_calibrate_self,
    &command_calibrate, /* after its methods: they are looked for first */
    &command_phantom,
    &command_reconstruct,
    &command_bone,
    &command_model,
    &command_surface,
    &command_simulate,
    &command_track,
    &command_compare,
    &command_convert,
    &command_bench,
    NULL,
};
/* clang-format on */

/* The first Ctrl-C asks the work to stop and clean up; the second one ends. */
static void on_signal(int number) {
    es_cancel();
    signal(number, SIG_DFL);
}

static void print_log(void *context, es_level level, const char *message) {
    const common_options *common = context;
    if (level == ES_WARNING) app_progress_end();
    if (level == ES_WARNING)
        fprintf(stderr, "echosolid: warning: %s\n", message);
    else
        app_note(common, "%s", message);
}

static int run_command(const command *cmd, int argc, char **argv) {
    union {
        common_options common;
        max_align_t align;
        char bytes[2048];
    } options;
    const char *files[8];
    int file_count = 0;
    es_error err = {0};
    if (cmd->options_size > sizeof options || cmd->arguments_max > 8) return 1;
    if (!options_parse(cmd, argc, argv, &options, files, &file_count, &err)) return app_fail(&err);
    if (options.common.help) {
        help_command(cmd, stdout);
        return 0;
    }
    es_log_set(print_log, &options.common);
    int status = cmd->run(&options, files, file_count);
    app_progress_end();
    es_log_set(NULL, NULL);
    return status;
}

/* For ./do docs; not meant for people. */
static int print_docs(const char *kind) {
    if (kind && strcmp(kind, "markdown") == 0)
        docs_markdown(stdout);
    else if (kind && strcmp(kind, "man") == 0)
        docs_man(stdout);
    else if (kind && strcmp(kind, "completion") == 0)
        docs_completion(stdout);
    else
        return 2;
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        help_overview(stderr);
        return 2;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        int words = 0;
        const command *about = argc > 2 ? command_find(argv[2], argv[3], &words) : NULL;
        if (about)
            help_command(about, stdout);
        else
            help_overview(stdout);
        return 0;
    }
    if (strcmp(word, "--version") == 0) {
        printf("echosolid %s\n", es_version());
        return 0;
    }
    if (strcmp(word, "--docs") == 0) return print_docs(argc > 2 ? argv[2] : NULL);
    int words = 0;
    const command *cmd = command_find(word, argv[2], &words);
    if (!cmd) {
        fprintf(stderr, "echosolid: unknown command %s; echosolid --help lists them\n", word);
        return 2;
    }
    return run_command(cmd, argc - 1 - words, argv + 1 + words);
}
