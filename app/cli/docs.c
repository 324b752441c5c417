/* --help, the man page, docs/commands.md and shell completion, all from the
 * option tables. */
#include <ctype.h>
#include <string.h>

#include "options.h"

const opt *options_common(void);

static const char *value_name(const opt *o) {
    if (o->value) return o->value;
    switch (o->type) {
    case OPT_INT: return "N";
    case OPT_TEXT:
    case OPT_TEXTS: return "FILE";
    case OPT_WORD: return "WORD";
    case OPT_NUMBER:
    case OPT_NUMBERS:
        switch (o->unit) {
        case UNIT_MM: return "MM";
        case UNIT_S: return "S";
        case UNIT_DEG: return "DEG";
        case UNIT_PX: return "PX";
        case UNIT_GB: return "GB";
        case UNIT_HZ: return "HZ";
        case UNIT_NONE: return "X";
        }
        return "X";
    case OPT_FLAG: break;
    }
    return "";
}

/* "-o, --output FILE" */
static void add_synopsis(es_text *text, const opt *o) {
    if (o->letter) es_text_add(text, "-%c, ", o->letter);
    es_text_add(text, "--%s", o->name);
    if (o->type != OPT_FLAG) es_text_add(text, " %s", value_name(o));
}

/* Help with its allowed words, range and default. */
static void add_help(es_text *text, const opt *o) {
    es_text_add(text, "%s", o->help);
    if (o->type == OPT_WORD) {
        es_text_add(text, ": ");
        for (int i = 0; o->words[i]; i++) es_text_add(text, "%s%s", i ? ", " : "", o->words[i]);
    }
    if (o->low != 0 || o->high != 0) es_text_add(text, " (%g to %g)", o->low, o->high);
    if (o->fallback) es_text_add(text, " [%s]", o->fallback);
}

/* Words of `text` in lines of at most `width`, each after `indent` blanks. */
static void print_wrapped(FILE *out, const char *text, int indent, int width) {
    int column = 0;
    while (*text) {
        if (*text == '\n') {
            fprintf(out, "\n");
            column = 0;
            text++;
            continue;
        }
        int length = (int)strcspn(text, " \n");
        if (column && column + 1 + length > width - indent) {
            fprintf(out, "\n");
            column = 0;
        }
        if (column == 0) fprintf(out, "%*s", indent, "");
        column += fprintf(out, "%s%.*s", column ? " " : "", length, text);
        text += length;
        while (*text == ' ') text++;
    }
    fprintf(out, "\n");
}

static void print_options(FILE *out, const opt *table) {
    for (const opt *o = table; o->name; o++) {
        es_text synopsis = {0}, help = {0};
        add_synopsis(&synopsis, o);
        add_help(&help, o);
        if (!synopsis.failed && !help.failed) {
            fprintf(out, "  %s\n", synopsis.bytes);
            print_wrapped(out, help.bytes, 8, 80);
        }
        es_text_free(&synopsis);
        es_text_free(&help);
    }
}

void help_command(const command *cmd, FILE *out) {
    fprintf(out, "echosolid %s: %s\n\nusage: echosolid %s %s\n\n", cmd->name, cmd->summary,
            cmd->name, cmd->usage);
    print_wrapped(out, cmd->description, 0, 80);
    fprintf(out, "\noptions:\n");
    print_options(out, cmd->options);
    print_options(out, options_common());
    fprintf(out, "\nexamples:\n");
    for (const char *const *e = cmd->examples; *e; e++) fprintf(out, "  %s\n", *e);
}

void help_overview(FILE *out) {
    fprintf(out,
            "echosolid %s: ultrasound frames to a measured solid\n"
            "Research software: not for diagnosis, planning or treatment.\n\n"
            "usage: echosolid COMMAND [options]\n\n",
            es_version());
    for (const command *const *c = commands; *c; c++)
        fprintf(out, "  %-20s %s\n", (*c)->name, (*c)->summary);
    fprintf(out, "\nechosolid COMMAND --help has the options and examples of each.\n"
                 "Exit status: 0 done, 1 failed, 2 wrong usage.\n");
}

static void markdown_options(FILE *out, const opt *table) {
    for (const opt *o = table; o->name; o++) {
        es_text synopsis = {0}, help = {0};
        add_synopsis(&synopsis, o);
        add_help(&help, o);
        if (!synopsis.failed && !help.failed)
            fprintf(out, "| `%s` | %s |\n", synopsis.bytes, help.bytes);
        es_text_free(&synopsis);
        es_text_free(&help);
    }
}

void docs_markdown(FILE *out) {
    fprintf(out, "# Commands\n\n"
                 "Made by `./do docs` from the program's own option tables; a test holds it "
                 "fresh.\nNumbers may carry a unit (`5cm`, `40ms`, `0.3deg`). Exit status: 0 done, "
                 "1 failed, 2 wrong usage.\n");
    for (const command *const *c = commands; *c; c++) {
        fprintf(out, "\n## echosolid %s\n\n%s.\n\n    echosolid %s %s\n\n%s\n\n", (*c)->name,
                (*c)->summary, (*c)->name, (*c)->usage, (*c)->description);
        fprintf(out, "| option | meaning |\n|---|---|\n");
        markdown_options(out, (*c)->options);
        markdown_options(out, options_common());
        fprintf(out, "\nExamples:\n\n");
        for (const char *const *e = (*c)->examples; *e; e++) fprintf(out, "    %s\n", *e);
    }
}

/* roff: a hyphen is written \-, a leading dot or quote is guarded by \&. */
static void roff(FILE *out, const char *text) {
    for (const char *p = text; *p; p++) {
        if ((p == text || p[-1] == '\n') && (*p == '.' || *p == '\'')) fputs("\\&", out);
        if (*p == '-')
            fputs("\\-", out);
        else if (*p == '\\')
            fputs("\\e", out);
        else
            fputc(*p, out);
    }
}

static void man_options(FILE *out, const opt *table) {
    for (const opt *o = table; o->name; o++) {
        es_text synopsis = {0}, help = {0};
        add_synopsis(&synopsis, o);
        add_help(&help, o);
        if (!synopsis.failed && !help.failed) {
            fprintf(out, ".TP\n.B ");
            roff(out, synopsis.bytes);
            fprintf(out, "\n");
            roff(out, help.bytes);
            fprintf(out, "\n");
        }
        es_text_free(&synopsis);
        es_text_free(&help);
    }
}

void docs_man(FILE *out) {
    fprintf(out,
            ".TH ECHOSOLID 1 \"\" \"echosolid %s\" \"User Commands\"\n"
            ".SH NAME\nechosolid \\- ultrasound frames to a measured solid\n"
            ".SH SYNOPSIS\n.B echosolid\n.I COMMAND\n[options]\n"
            ".SH DESCRIPTION\nTurns tracked ultrasound frames into a volume, the bone in it and a "
            "model, with the error in millimetres beside it.\nResearch software: not for "
            "diagnosis, planning or treatment.\n.SH COMMANDS\n",
            es_version());
    for (const command *const *c = commands; *c; c++) {
        fprintf(out, ".SS %s\n", (*c)->name);
        roff(out, (*c)->description);
        fprintf(out, "\n.PP\n.B echosolid %s\n", (*c)->name);
        roff(out, (*c)->usage);
        fprintf(out, "\n");
        man_options(out, (*c)->options);
        fprintf(out, ".PP\nExamples:\n.nf\n");
        for (const char *const *e = (*c)->examples; *e; e++) {
            roff(out, *e);
            fprintf(out, "\n");
        }
        fprintf(out, ".fi\n");
    }
    fprintf(out, ".SH COMMON OPTIONS\n");
    man_options(out, options_common());
    fprintf(out, ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n"
                 ".SH ENVIRONMENT\n.TP\n.B ES_CPU\nscalar, avx2 or avx512: the kernels to use "
                 "(the results are the same).\n");
}

void docs_completion(FILE *out) {
    fprintf(out, "# bash completion for echosolid; made by ./do docs\n_echosolid() {\n"
                 "    local word=${COMP_WORDS[COMP_CWORD]} options=\n"
                 "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        options=\"");
    for (const command *const *c = commands; *c; c++)
        if (!strchr((*c)->name, ' ')) fprintf(out, "%s ", (*c)->name);
    fprintf(out,
            "\"\n"
            "    elif [ \"$COMP_CWORD\" -eq 2 ] && [ \"${COMP_WORDS[1]}\" = calibrate ]; then\n"
            "        options=\"");
    for (const command *const *c = commands; *c; c++)
        if (strchr((*c)->name, ' ')) fprintf(out, "%s ", strchr((*c)->name, ' ') + 1);
    fprintf(out, "\"\n    else\n"
                 "        case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
    for (const command *const *c = commands; *c; c++) {
        fprintf(out, "        \"%s%s\"*) options=\"", (*c)->name,
                strchr((*c)->name, ' ') ? "" : " ");
        for (const opt *o = (*c)->options; o->name; o++) fprintf(out, "--%s ", o->name);
        fprintf(out, "--json --quiet --help\" ;;\n");
    }
    fprintf(out, "        esac\n    fi\n"
                 "    case $word in\n"
                 "    -*) mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\") ;;\n"
                 "    *)\n"
                 "        if [ \"$COMP_CWORD\" -eq 1 ] || [ \"${COMP_WORDS[1]} $COMP_CWORD\" = "
                 "\"calibrate 2\" ]; "
                 "then\n"
                 "            mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
                 "        else\n"
                 "            mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
                 "        fi ;;\n"
                 "    esac\n}\ncomplete -o filenames -F _echosolid echosolid\n");
}
