/* The little XML that commands are written in: start tags and their attributes. */
#ifndef ES_LIVE_TAG_H
#define ES_LIVE_TAG_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tag {
    char name[64];
    const char *attributes, *end;
} tag;

/* The next start tag from *at, which is moved behind it; comments, declarations
 * and end tags are passed over. False at the end, and for what is no XML. */
bool tag_next(const char **at, tag *t);
/* An attribute with its entities resolved; false when it is absent or longer. */
bool tag_attribute(const tag *t, const char *name, char *value, size_t size);

#endif
