/* The transform graph: which frame of reference lies where, seen from another.
 *
 * A recording gives some transforms with every frame (ProbeToTracker), a
 * configuration gives others once (ImageToProbe). Frames of reference are the
 * nodes of a graph, transforms its edges, and every edge can be walked both
 * ways, backwards by its inverse. The transform from Image to Reference is the
 * product along the shortest chain of valid edges, found breadth first.
 *
 * Two things can go wrong, and both are said in plain words: there is no chain
 * (missing or invalid edges), or there are two chains of the same length that
 * give different answers. Paths can be many, so the second is not tested path
 * by path: the nodes of all the shortest chains are visited backwards from the
 * target, and where two edges arrive at one node, the transforms up to there
 * are compared. If all of those agree, all the paths do.
 *
 * Graphs are small (a dozen edges), so names and edges are searched one by
 * one; replacing the pose of an edge and finding a chain allocate nothing. */
#include "echosolid/geom.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { NODE_LIMIT = 1024, EDGE_LIMIT = 4096, REASON_SIZE = 160, WORDS_SIZE = 320 };

/* Two chains may differ by this, relative to their size. */
static const double CHAIN_TOLERANCE = 1e-6;
/* A stored inverse may differ by this: files write six digits of each number,
 * and rounding grows a little through the inverse. */
static const double INVERSE_TOLERANCE = 1e-4;

/* The pose of an edge: usable both ways, or not usable, with the reason ("":
 * its status says so). */
typedef struct pose {
    es_mat4 forward, backward;
    bool valid;
    char reason[REASON_SIZE];
} pose;

/* One edge for a pair of frames, in the direction in which it was first set. */
typedef struct edge {
    size_t from, to;
    pose pose;
} edge;

typedef char node_name[ES_NAME_SIZE];

struct es_graph {
    node_name *names;
    edge *edges;
    size_t node_count, node_capacity, edge_count, edge_capacity;
};

es_graph *es_graph_new(es_error *err) { return es_alloc_zero(1, sizeof(es_graph), err); }

void es_graph_free(es_graph *graph) {
    if (!graph) return;
    es_free(graph->names);
    es_free(graph->edges);
    es_free(graph);
}

/* ---- names ------------------------------------------------------------- */

static bool is_split(const char *name, const char *at, const char *end) {
    return at > name && at + 2 < end && at[0] == 'T' && at[1] == 'o' &&
           (isupper((unsigned char)at[2]) || isdigit((unsigned char)at[2]));
}

static const char *without_suffix(const char *name, const char *suffix) {
    size_t length = strlen(name), cut = strlen(suffix);
    bool has = length > cut && strcmp(name + length - cut, suffix) == 0;
    return name + length - (has ? cut : 0);
}

bool es_transform_name_split(const char *name, char from[ES_NAME_SIZE], char to[ES_NAME_SIZE],
                             es_error *err) {
    const char *end = without_suffix(name, "Transform"), *split = NULL;
    for (const char *at = name; at < end; at++) {
        if (!is_split(name, at, end)) continue;
        if (split)
            return es_fail(
                err, ES_FORMAT,
                "the transform name %.200s can be split in more than one place; expected "
                "one \"To\" before an upper-case letter or a digit, as in ProbeToTracker",
                name);
        split = at;
    }
    if (!split)
        return es_fail(err, ES_FORMAT,
                       "%.200s is not a transform name; expected two frames of reference with "
                       "\"To\" between them, as in ProbeToTracker",
                       name);
    size_t from_length = (size_t)(split - name), to_length = (size_t)(end - split) - 2;
    if (from_length >= ES_NAME_SIZE || to_length >= ES_NAME_SIZE)
        return es_fail(err, ES_FORMAT,
                       "the transform name %.60s... is too long; a frame of reference has at most "
                       "%d characters",
                       name, ES_NAME_SIZE - 1);
    memcpy(from, name, from_length);
    memcpy(to, split + 2, to_length);
    from[from_length] = to[to_length] = '\0';
    return true;
}

/* NODE_LIMIT when there is none of that name. */
static size_t find_node(const es_graph *graph, const char *name) {
    for (size_t n = 0; n < graph->node_count; n++)
        if (strcmp(graph->names[n], name) == 0) return n;
    return NODE_LIMIT;
}

bool es_graph_has_node(const es_graph *graph, const char *name) {
    return find_node(graph, name) != NODE_LIMIT;
}

char *es_graph_nodes(const es_graph *graph, es_error *err) {
    es_text text = {0};
    es_text_add(&text, "%s", "");
    for (size_t n = 0; n < graph->node_count; n++)
        es_text_add(&text, "%s%s", n ? ", " : "", graph->names[n]);
    char *nodes = text.failed ? NULL : es_copy_text(text.bytes, err);
    if (text.failed)
        es_fail(err, ES_MEMORY, "out of memory for the names of %zu frames of reference",
                graph->node_count);
    es_text_free(&text);
    return nodes;
}

/* ---- setting edges ----------------------------------------------------- */

static double largest(const es_mat4 *a, int first_column, int last_column) {
    double most = 0;
    for (int row = 0; row < 3; row++)
        for (int column = first_column; column <= last_column; column++)
            most = fmax(most, fabs(a->m[4 * row + column]));
    return most;
}

/* The larger of two relative differences: of the 3x3 parts, and of the
 * translations, where lengths under 1 count as 1. */
static double difference(const es_mat4 *a, const es_mat4 *b) {
    es_mat4 d;
    for (int i = 0; i < 16; i++) d.m[i] = a->m[i] - b->m[i];
    double size = fmax(largest(a, 0, 2), largest(b, 0, 2));
    double reach = fmax(1, fmax(largest(a, 3, 3), largest(b, 3, 3)));
    return fmax(size > 0 ? largest(&d, 0, 2) / size : 0, largest(&d, 3, 3) / reach);
}

/* A matrix that has no inverse makes the edge invalid, with the reason. */
static void set_pose(pose *p, es_mat4 transform, bool valid) {
    es_error why = {0};
    p->forward = transform;
    p->valid = valid && es_mat4_invert(transform, &p->backward, &why);
    snprintf(p->reason, sizeof p->reason, "%.*s", REASON_SIZE - 1, why.message);
}

static edge *find_edge(const es_graph *graph, size_t a, size_t b) {
    for (size_t e = 0; e < graph->edge_count; e++) {
        edge *at = &graph->edges[e];
        if ((at->from == a && at->to == b) || (at->from == b && at->to == a)) return at;
    }
    return NULL;
}

/* The edge exists as To -> From: the new pose must be its inverse. Only where
 * the stored one is not usable does the new one take its place. */
static bool set_against(edge *e, const pose *reverse, const char *from, const char *to,
                        es_error *err) {
    if (!reverse->valid) return true;
    if (!e->pose.valid) {
        e->pose.forward = reverse->backward;
        e->pose.backward = reverse->forward;
        e->pose.valid = true;
        return true;
    }
    double apart = difference(&reverse->forward, &e->pose.backward);
    if (apart > INVERSE_TOLERANCE)
        return es_fail(err, ES_GEOMETRY,
                       "%sTo%s and %sTo%s are both given and are not inverse to each other (they "
                       "differ by %.2g of their size); remove the wrong one",
                       from, to, to, from, apart);
    return true;
}

static bool check_name(const char *name, es_error *err) {
    size_t length = strlen(name);
    if (length > 0 && length < ES_NAME_SIZE) return true;
    return es_fail(err, ES_FORMAT,
                   "the name of a frame of reference has %zu characters; expected 1 to %d", length,
                   ES_NAME_SIZE - 1);
}

static bool reserve(void *block_address, size_t *capacity, size_t needed, size_t size,
                    es_error *err) {
    if (needed <= *capacity) return true;
    size_t room = needed < 8 ? 8 : 2 * needed;
    if (!es_resize(block_address, room, size, err)) return false;
    *capacity = room;
    return true;
}

static size_t find_or_add_node(es_graph *graph, const char *name) {
    size_t node = find_node(graph, name);
    if (node != NODE_LIMIT) return node;
    snprintf(graph->names[graph->node_count], ES_NAME_SIZE, "%s", name);
    return graph->node_count++;
}

/* All the room is taken before anything changes. */
static edge *add_edge(es_graph *graph, const char *from, const char *to, es_error *err) {
    if (!check_name(from, err) || !check_name(to, err)) return NULL;
    if (strcmp(from, to) == 0) {
        es_fail(err, ES_FORMAT, "a transform from %s to itself is not allowed", from);
        return NULL;
    }
    if (graph->node_count + 2 > NODE_LIMIT || graph->edge_count == EDGE_LIMIT) {
        es_fail(err, ES_UNSUPPORTED,
                "more than %d frames of reference or %d transforms; is %sTo%s one of a list of "
                "numbered names?",
                NODE_LIMIT - 2, EDGE_LIMIT, from, to);
        return NULL;
    }
    if (!reserve(&graph->names, &graph->node_capacity, graph->node_count + 2, sizeof(node_name),
                 err) ||
        !reserve(&graph->edges, &graph->edge_capacity, graph->edge_count + 1, sizeof(edge), err))
        return NULL;
    edge *added = &graph->edges[graph->edge_count++];
    added->from = find_or_add_node(graph, from);
    added->to = find_or_add_node(graph, to);
    return added;
}

bool es_graph_set(es_graph *graph, const char *from, const char *to, es_mat4 transform, bool valid,
                  es_error *err) {
    size_t a = find_node(graph, from), b = find_node(graph, to);
    edge *e = find_edge(graph, a, b);
    if (e && e->from != a) {
        pose reverse;
        set_pose(&reverse, transform, valid);
        return set_against(e, &reverse, from, to, err);
    }
    if (!e) e = add_edge(graph, from, to, err);
    if (!e) return false;
    set_pose(&e->pose, transform, valid);
    return true;
}

es_graph *es_graph_copy(const es_graph *graph, es_error *err) {
    es_graph *copy = es_graph_new(err);
    if (!copy ||
        !reserve(&copy->names, &copy->node_capacity, graph->node_count, sizeof(node_name), err) ||
        !reserve(&copy->edges, &copy->edge_capacity, graph->edge_count, sizeof(edge), err)) {
        es_graph_free(copy);
        return NULL;
    }
    copy->node_count = graph->node_count;
    copy->edge_count = graph->edge_count;
    if (graph->node_count) memcpy(copy->names, graph->names, graph->node_count * sizeof(node_name));
    if (graph->edge_count) memcpy(copy->edges, graph->edges, graph->edge_count * sizeof(edge));
    return copy;
}

/* ---- searching --------------------------------------------------------- */

/* What a breadth-first search from order[0] has reached. `parent` is the node
 * before, `by` the edge between the two; a node not reached has distance -1. */
typedef struct search {
    const es_graph *graph;
    size_t reached;
    uint16_t order[NODE_LIMIT], parent[NODE_LIMIT], by[NODE_LIMIT];
    int16_t distance[NODE_LIMIT];
} search;

/* A chain of nodes. */
typedef struct chain {
    size_t count;
    uint16_t nodes[NODE_LIMIT];
} chain;

static size_t other_end(const edge *e, size_t node) { return e->from == node ? e->to : e->from; }

static bool touches(const edge *e, size_t node) { return e->from == node || e->to == node; }

static void arrive(search *s, size_t node, size_t parent, size_t by, int distance) {
    s->order[s->reached++] = (uint16_t)node;
    s->parent[node] = (uint16_t)parent;
    s->by[node] = (uint16_t)by;
    s->distance[node] = (int16_t)distance;
}

static void search_from(search *s, const es_graph *graph, size_t start, bool through_invalid) {
    s->graph = graph;
    s->reached = 0;
    for (size_t n = 0; n < graph->node_count; n++) s->distance[n] = -1;
    if (start == NODE_LIMIT) return;
    arrive(s, start, start, 0, 0);
    for (size_t next = 0; next < s->reached; next++) {
        size_t node = s->order[next];
        for (size_t e = 0; e < graph->edge_count; e++) {
            const edge *at = &graph->edges[e];
            if (!touches(at, node) || (!at->pose.valid && !through_invalid)) continue;
            size_t other = other_end(at, node);
            if (s->distance[other] < 0) arrive(s, other, node, e, s->distance[node] + 1);
        }
    }
}

static bool is_reached(const search *s, size_t node) {
    return node != NODE_LIMIT && s->distance[node] >= 0;
}

/* From the start to `node`, the start first. */
static void chain_to(const search *s, size_t node, chain *c) {
    c->count = (size_t)s->distance[node] + 1;
    for (size_t i = c->count; i-- > 0; node = s->parent[node]) c->nodes[i] = (uint16_t)node;
}

static es_mat4 step(const edge *e, size_t from) {
    return e->from == from ? e->pose.forward : e->pose.backward;
}

/* The transform from the start to `node`. */
static es_mat4 transform_to(const search *s, size_t node) {
    es_mat4 product = es_mat4_identity();
    for (; s->distance[node] > 0; node = s->parent[node])
        product = es_mat4_multiply(product, step(&s->graph->edges[s->by[node]], s->parent[node]));
    return product;
}

/* ---- words ------------------------------------------------------------- */

/* Text that grows in a fixed place; what does not fit ends in "...". */
typedef struct words {
    size_t length;
    char text[WORDS_SIZE];
} words;

static void say(words *w, const char *separator, const char *text) {
    if (w->length + 1 >= sizeof w->text) return;
    size_t room = sizeof w->text - w->length;
    int wanted = snprintf(w->text + w->length, room, "%s%s", w->length ? separator : "", text);
    if (wanted >= 0 && (size_t)wanted < room) {
        w->length += (size_t)wanted;
        return;
    }
    memcpy(w->text + sizeof w->text - 4, "...", 4);
    w->length = sizeof w->text - 1;
}

static void say_chain(words *w, const es_graph *graph, const chain *c) {
    for (size_t i = 0; i < c->count; i++) say(w, i ? " -> " : "", graph->names[c->nodes[i]]);
}

static char *chain_text(const es_graph *graph, const chain *c, es_error *err) {
    es_text text = {0};
    for (size_t i = 0; i < c->count; i++)
        es_text_add(&text, "%s%s", i ? " -> " : "", graph->names[c->nodes[i]]);
    if (!text.failed) return text.bytes;
    es_text_free(&text);
    es_fail(err, ES_MEMORY, "out of memory for a chain of %zu names", c->count);
    return NULL;
}

/* ---- no chain ---------------------------------------------------------- */

/* One side of the gap: what a search reached, or a name that is in no
 * transform. */
typedef struct side {
    search reach;
    const char *name;
} side;

static size_t side_count(const side *s) { return s->reach.reached ? s->reach.reached : 1; }

static const char *side_name(const side *s, size_t i) {
    return s->reach.reached ? s->reach.graph->names[s->reach.order[i]] : s->name;
}

/* "Reference is only connected to Stylus, StylusTip". */
static void say_side(words *w, const side *s, const char *verb) {
    if (s->reach.reached < 2) {
        say(w, "", s->name);
        say(w, "", s->reach.reached ? " is connected to nothing" : " is in no known transform");
        return;
    }
    say(w, "", s->name);
    say(w, "", verb);
    for (size_t i = 1; i < s->reach.reached; i++) say(w, i > 1 ? ", " : "", side_name(s, i));
}

/* "Image -> Probe -> Tracker is known" where that is all. */
static void say_start(words *w, const side *s) {
    chain c = {0};
    if (s->reach.reached > 1) chain_to(&s->reach, s->reach.order[s->reach.reached - 1], &c);
    if (c.count != s->reach.reached || c.count < 2 || c.count > 8) {
        say_side(w, s, " is connected to ");
        return;
    }
    say_chain(w, s->reach.graph, &c);
    say(w, "", " is known");
}

/* How likely x to y is what was forgotten: the calibration first, then what a
 * tracker measures. */
static int likelihood(const char *x, const char *y) {
    if (strcmp(x, "Image") == 0 && strcmp(y, "Probe") == 0) return 3;
    if (strcmp(x, "Tracker") == 0 || strcmp(y, "Tracker") == 0) return 2;
    return strcmp(x, "Probe") == 0 || strcmp(y, "Probe") == 0;
}

/* Any transform between the two sides would do. The likely one comes first,
 * then a few others from the far end of the known side. */
static void say_missing(words *w, const side *a, const side *b) {
    enum { OTHERS = 3 };
    const char *x = side_name(a, side_count(a) - 1), *y = b->name;
    char name[2 * ES_NAME_SIZE], likely[2 * ES_NAME_SIZE];
    size_t pairs = side_count(a) * side_count(b), others = 0;
    for (size_t i = pairs; i-- > 0;) {
        const char *p = side_name(a, i / side_count(b)), *q = side_name(b, i % side_count(b));
        if (likelihood(p, q) > likelihood(x, y)) x = p, y = q;
    }
    snprintf(likely, sizeof likely, "%sTo%s", x, y);
    say(w, "", pairs > 1 ? "one of " : "");
    say(w, "", likely);
    for (size_t i = pairs; i-- > 0 && others < OTHERS;) {
        snprintf(name, sizeof name, "%sTo%s", side_name(a, i / side_count(b)),
                 side_name(b, side_count(b) - 1 - i % side_count(b)));
        if (strcmp(name, likely) != 0 && ++others) say(w, ", ", name);
    }
    say(w, "", pairs > others + 1 ? ", ... (add " : " (add ");
    say(w, "", likely);
    say(w, "", " with --config)");
}

static bool fail_missing(const es_graph *graph, const char *from, const char *to, es_error *err) {
    side a = {.name = from}, b = {.name = to};
    words start = {0}, goal = {0}, missing = {0};
    search_from(&a.reach, graph, find_node(graph, from), true);
    search_from(&b.reach, graph, find_node(graph, to), true);
    say_start(&start, &a);
    say_side(&goal, &b, " is only connected to ");
    say_missing(&missing, &a, &b);
    return es_fail(err, ES_GEOMETRY, "no transform from %s to %s: %s, %s; missing: %s", from, to,
                   start.text, goal.text, missing.text);
}

/* There is a chain, but not all of its edges can be used. */
static bool fail_invalid(const search *s, size_t goal, es_error *err) {
    chain c;
    words path = {0}, faults = {0};
    chain_to(s, goal, &c);
    say_chain(&path, s->graph, &c);
    for (size_t i = 1; i < c.count; i++) {
        const edge *e = &s->graph->edges[s->by[c.nodes[i]]];
        char fault[2 * ES_NAME_SIZE + REASON_SIZE + 64];
        if (e->pose.valid) continue;
        snprintf(fault, sizeof fault, "%sTo%s is not valid in this frame (%s)",
                 s->graph->names[e->from], s->graph->names[e->to],
                 e->pose.reason[0] ? e->pose.reason : "status INVALID");
        say(&faults, "; ", fault);
    }
    return es_fail(err, ES_GEOMETRY, "%s: %s", path.text, faults.text);
}

/* ---- two chains -------------------------------------------------------- */

/* Names both: to `node` by first arrival and by `rival` from `before`, then on
 * to the goal by `next`. */
static bool fail_ambiguous(const search *s, size_t node, size_t before, const uint16_t *next,
                           double apart, es_error *err) {
    chain c;
    words first = {0}, second = {0};
    chain_to(s, node, &c);
    say_chain(&first, s->graph, &c);
    chain_to(s, before, &c);
    say_chain(&second, s->graph, &c);
    say(&second, " -> ", s->graph->names[node]);
    while (next[node] != node) {
        node = next[node];
        say(&first, " -> ", s->graph->names[node]);
        say(&second, " -> ", s->graph->names[node]);
    }
    return es_fail(err, ES_GEOMETRY,
                   "two chains of the same length disagree (by %.2g of their size): %s, and %s; "
                   "remove the transform that is wrong",
                   apart, first.text, second.text);
}

/* All the edges that arrive at `node` from one step nearer the start must give
 * the same transform. Notes where they come from in `next`. */
static bool check_arrivals(const search *s, size_t node, uint16_t *next, es_error *err) {
    for (size_t e = 0; e < s->graph->edge_count; e++) {
        const edge *at = &s->graph->edges[e];
        if (!touches(at, node) || !at->pose.valid) continue;
        size_t before = other_end(at, node);
        if (s->distance[before] != s->distance[node] - 1) continue;
        next[before] = (uint16_t)node;
        if (e == s->by[node]) continue;
        es_mat4 first = transform_to(s, node);
        es_mat4 second = es_mat4_multiply(step(at, before), transform_to(s, before));
        double apart = difference(&first, &second);
        if (apart > CHAIN_TOLERANCE) return fail_ambiguous(s, node, before, next, apart, err);
    }
    return true;
}

/* Visits every node that lies on a shortest chain to the goal, the goal first.
 * next[n]: the node after n on one such chain, n itself for the goal. */
static bool check_one_answer(const search *s, size_t goal, es_error *err) {
    uint16_t next[NODE_LIMIT];
    for (size_t n = 0; n < s->graph->node_count; n++) next[n] = NODE_LIMIT;
    next[goal] = (uint16_t)goal;
    for (size_t i = s->reached; i-- > 1;) {
        size_t node = s->order[i];
        if (next[node] != NODE_LIMIT && !check_arrivals(s, node, next, err)) return false;
    }
    return true;
}

bool es_graph_find(const es_graph *graph, const char *from, const char *to, es_mat4 *transform,
                   char **chain_out, es_error *err) {
    search s;
    size_t goal = find_node(graph, to);
    search_from(&s, graph, find_node(graph, from), false);
    if (!is_reached(&s, goal)) {
        search_from(&s, graph, find_node(graph, from), true);
        return is_reached(&s, goal) ? fail_invalid(&s, goal, err)
                                    : fail_missing(graph, from, to, err);
    }
    if (!check_one_answer(&s, goal, err)) return false;
    if (chain_out) {
        chain c;
        chain_to(&s, goal, &c);
        *chain_out = chain_text(graph, &c, err);
        if (!*chain_out) return false;
    }
    *transform = transform_to(&s, goal);
    return true;
}
