/* needs: base */
#include <stdio.h>
#include <string.h>

#include "base/class_sum.h"
#include "tap.h"

static char *classes[] = {"18", "18+", "a", "a+b", "b", "c++", "hot dog"};

/* The classes in the sum as one text, "18+|a", or "?NAME" for a name that is not one. */
static const char *read_sum(const char *text)
{
    static char out[200];
    char copy[100];
    uint8_t in[7] = {0};
    snprintf(copy, sizeof copy, "%s", text);
    const char *missing = class_sum_parse(copy, classes, 7, in);
    snprintf(out, sizeof out, "%s%s", missing ? "?" : "", missing ? missing : "");
    for (int k = 0; k < 7 && !missing; k++)
        if (in[k]) snprintf(out + strlen(out), sizeof out - strlen(out), "%s%s", *out ? "|" : "", classes[k]);
    return out;
}

int main(void)
{
    static const char *const cases[][2] = {
        {"a", "a"},
        {"18", "18"},
        {"18+", "18+"},
        {"18+a", "18|a"},
        {"18++a", "18+|a"},
        {"a+b", "a+b"},
        {"b+a", "a|b"},
        {"a+b+b", "a+b|b"},
        {"a+a+b", "a|a+b"},
        {"c+++b", "b|c++"},
        {"hot dog+18+", "18+|hot dog"},
        {"", "?"},
        {"a+", "?"},
        {"a+zebra", "?zebra"},
        {"a+zebra+b", "?zebra"},
        {"18+zebra", "?zebra"},
        {"+a", "?"},
        {"A", "?A"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_SAY(!strcmp(read_sum(cases[i][0]), cases[i][1]), "'%s' reads as '%s'", cases[i][0],
                  read_sum(cases[i][0]));
    return tap_done();
}
