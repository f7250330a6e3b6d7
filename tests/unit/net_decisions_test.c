/* Thresholds in a model's metadata: there and back, damage, later versions, what they decide. */
/* needs: net io base */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net_decisions.h"
#include "tap.h"

static struct error err;
static char *classes[] = {"a", "b", "c"};

static struct net_metadata metadata(const char *extra)
{
    struct net_metadata m = {.classes = classes, .n_classes = 3, .temperature = 1.5};
    snprintf(m.model_id, sizeof m.model_id, "%s", "0123456789abcdef0123456789abcdef");
    m.extra_json = extra ? strdup(extra) : NULL;
    return m;
}

static void check_round_trip(void)
{
    struct net_metadata m = metadata("{\"train\":{\"seed\":1}}");
    uint8_t strict[] = {1, 1, 0}, broad[] = {1, 1, 1};
    double rate[] = {0.002, 0, 0.998};
    struct net_decision_view views[] =
        {{.name = "strict",
          .classes = strict,
          .review = 0.25,
          .block = 0.75,
          .max_miss = {true, 0.01, 0.95, 0.0099, 300, 0, 200, 1}},
         {.name = "some", .classes = strict + 1, .review = 0.9, .block = INFINITY}};
    struct net_decisions d = {.date = "2026-11-22T09:00:00Z",
                              .temperature = 1.5,
                              .views = views,
                              .n_views = 2,
                              .rate = rate,
                              .rates_estimated = true,
                              .n_classes = 3},
                         back;
    views[1].classes = broad;
    memcpy(d.model_id, m.model_id, sizeof d.model_id);
    CHECK(!net_decisions_store(&d, &m, &err));
    CHECK(strstr(m.extra_json, "\"train\"") != NULL);
    CHECK(!net_decisions_store(&d, &m, &err)); /* in place of what is there */
    CHECK(!net_decisions_read(&back, &m, &err));
    CHECK(back.n_views == 2 && !strcmp(back.views[0].name, "strict") && back.views[0].review == 0.25 &&
          back.views[0].block == 0.75 && isinf(back.views[1].block));
    CHECK(!memcmp(back.views[0].classes, strict, 3) && !memcmp(back.views[1].classes, broad, 3));
    CHECK(back.views[0].max_miss.given && back.views[0].max_miss.n == 300 &&
          back.views[0].max_miss.test_missed == 1 && back.views[0].max_miss.bound == 0.0099 &&
          !back.views[0].max_wrong_block.given);
    CHECK(back.rate && back.rate[2] == 0.998 && back.rates_estimated && !strcmp(back.date, d.date));
    CHECK(net_decisions_fit(&back, &m));
    m.temperature = 1.4;
    CHECK(!net_decisions_fit(&back, &m));
    m.temperature = 1.5, m.model_id[0] = 'f';
    CHECK(!net_decisions_fit(&back, &m));
    net_decisions_release(&back);
    free(m.extra_json);

    int view;
    d.n_views = 1;
    CHECK(net_decide(&d, (float[]){0.125f, 0.0f, 0.875f}, &view) == NET_ALLOW && view == -1);
    CHECK(net_decide(&d, (float[]){0.125f, 0.125f, 0.75f}, &view) == NET_REVIEW && view == 0);
    CHECK(net_decide(&d, (float[]){0.75f, 0.0f, 0.25f}, NULL) == NET_BLOCK);
    d.n_views = 2; /* the strictest counts */
    CHECK(net_decide(&d, (float[]){0.0f, 0.0f, 1.0f}, &view) == NET_REVIEW && view == 1);
    CHECK(net_decide(&d, (float[]){0.5f, 0.5f, 0.0f}, &view) == NET_BLOCK && view == 0);
    d.n_views = 0;
    CHECK(net_decide(&d, (float[]){1, 0, 0}, &view) == NET_ALLOW);
}

static bool refused(const char *extra, const char *says)
{
    struct net_metadata m = metadata(extra);
    struct net_decisions d;
    bool bad = net_decisions_read(&d, &m, &err) == -1 && err.code == EX_DATAERR && strstr(err.text, says);
    if (!bad) printf("# %s: %s\n", extra, err.text);
    free(m.extra_json);
    return bad;
}

static void check_damage(void)
{
#define HEAD "{\"decisions\":{\"version\":1,\"temperature\":1,\"views\":"
    struct net_metadata m = metadata("{\"train\":{}}");
    struct net_decisions d;
    CHECK(!net_decisions_read(&d, &m, &err) && d.n_views == 0);
    free(m.extra_json);
    CHECK(refused("{\"decisions\":{\"version\":2}}", "version 2"));
    CHECK(refused("{\"decisions\":[]}", "damaged"));
    CHECK(refused("{\"decisions\":{\"version\":1,\"views\":[]}}", "no views"));
    CHECK(refused(HEAD "[{\"name\":\"x\",\"classes\":[\"d\"],\"review\":0}]}}", "class"));
    CHECK(refused(HEAD "[{\"name\":\"x\",\"classes\":[],\"review\":0}]}}", "classes"));
    CHECK(refused(HEAD "[{\"classes\":[\"a\"],\"review\":0}]}}", "name"));
    CHECK(refused(HEAD "[{\"name\":\"x\",\"classes\":[\"a\"],\"review\":-1}]}}", "review"));
    CHECK(refused(HEAD "[{\"name\":\"x\",\"classes\":[\"a\"],\"review\":0.5,\"block\":0.4}]}}", "block"));
    CHECK(refused(HEAD "[{\"name\":\"x\",\"classes\":[\"a\"],\"review\":0,\"max_miss\":{}}]}}", "rate"));
    CHECK(refused(HEAD "[7]}}", "name"));
    CHECK(refused(HEAD "[{\"name\":\"x\",\"classes\":[\"a\"],\"review\":0}],\"prevalence\":{\"rates\":{}}}}",
                  "'a'"));
}

int main(void)
{
    check_round_trip();
    check_damage();
    return tap_done();
}
