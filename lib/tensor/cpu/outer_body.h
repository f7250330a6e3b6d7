/* outer_body.h: the loops of outer.h, included once by each outer_<isa>.c after its vectors. R rows by V
 * vectors of sums stay in registers: see conv_tile_body.h for the form that gcc 12 needs. */
#define UNROLLED _Pragma("GCC unroll 8")

#define STEP(R, V, J)                                                                                        \
    do {                                                                                                     \
        vec w[V];                                                                                            \
        for (int v = 0; v < V; v++)                                                                          \
            w[v] = LOAD(y[v] + (J)*WIDTH);                                                                   \
        UNROLLED for (int r = 0; r < R; r++)                                                                 \
        {                                                                                                    \
            vec value = SET1(x[(J)*WIDTH + r]);                                                              \
            for (int v = 0; v < V; v++)                                                                      \
                ACCUMULATE(sum[r][v], value, w[v]);                                                          \
        }                                                                                                    \
    } while (0)

/* n_columns: of the V vectors from column on that exist. */
#define OUTER(R, V)                                                                                          \
    static void outer_##R##x##V(const struct outer_part *p, int from, int to, int column, int n_columns)     \
    {                                                                                                        \
        const float *const b = p->b.p + (size_t)(column / WIDTH) * p->b.panel;                               \
        for (int i = from; i < to; i += R) {                                                                 \
            const float *const a = p->a.p + (size_t)(i / WIDTH) * p->a.panel + i % WIDTH;                    \
            const float *const later = b + V * p->b.panel + (size_t)(i - from) / R * 64;                     \
            if ((size_t)(i - from) / R * 64 < p->n * WIDTH)                                                  \
                UNROLLED for (int v = 0; v < V; v++) UNROLLED for (int line = 0; line < 4; line++)           \
                    __builtin_prefetch(later + (size_t)v * p->b.panel + line * 16, 0, 2);                    \
            vec sum[R][V];                                                                                   \
            UNROLLED for (int r = 0; r < R; r++) for (int v = 0; v < V; v++) sum[r][v] = ZERO();             \
            for (size_t run = 0; run < p->n_runs; run++) {                                                   \
                const float *x = a + run * p->a.run, *y[V];                                                  \
                size_t k = 0;                                                                                \
                for (int v = 0; v < V; v++)                                                                  \
                    y[v] = b + (size_t)v * p->b.panel + run * p->b.run;                                      \
                for (; k + 4 <= p->n; k += 4) {                                                              \
                    UNROLLED for (int line = 0; line < WIDTH / 8; line++) __builtin_prefetch(                \
                        x + p->a.panel - i % WIDTH + (i % WIDTH ? 2 * WIDTH : 0) + line * 16);               \
                    STEP(R, V, 0);                                                                           \
                    STEP(R, V, 1);                                                                           \
                    STEP(R, V, 2);                                                                           \
                    STEP(R, V, 3);                                                                           \
                    x += 4 * WIDTH;                                                                          \
                    for (int v = 0; v < V; v++)                                                              \
                        y[v] += 4 * WIDTH;                                                                   \
                }                                                                                            \
                for (; k < p->n; k++) {                                                                      \
                    STEP(R, V, 0);                                                                           \
                    x += WIDTH;                                                                              \
                    for (int v = 0; v < V; v++)                                                              \
                        y[v] += WIDTH;                                                                       \
                }                                                                                            \
            }                                                                                                \
            float edge[R * V * WIDTH], *out = p->c + (size_t)i * p->c_stride + column;                       \
            size_t stride = p->c_stride;                                                                     \
            const bool whole = i + R <= to && n_columns >= V * WIDTH;                                        \
            if (!whole) {                                                                                    \
                memset(edge, 0, sizeof edge);                                                                \
                out = edge;                                                                                  \
                stride = V * WIDTH;                                                                          \
            }                                                                                                \
            UNROLLED for (size_t r = 0; r < R; r++)                                                          \
            {                                                                                                \
                for (int v = 0; v < V; v++)                                                                  \
                    STORE(out + r * stride + v * WIDTH, ADD(LOAD(out + r * stride + v * WIDTH), sum[r][v])); \
            }                                                                                                \
            if (!whole) add_edge(p, edge, i, to - i < R ? to - i : R, V * WIDTH, column, n_columns);         \
        }                                                                                                    \
    }

/* Of a tile that is not whole, what exists. */
static __attribute__((noinline)) void add_edge(const struct outer_part *p, const float *edge, int row,
                                               int n_rows, int width, int column, int n_columns)
{
    for (int r = 0; r < n_rows; r++)
        for (int c = 0; c < width && c < n_columns; c++)
            p->c[(size_t)(row + r) * p->c_stride + (size_t)(column + c)] += edge[r * width + c];
}

OUTERS(3)
OUTERS(2)
OUTERS(1)

static void part(const struct outer_part *p, int from, int to, int n_columns)
{
    int vectors = (n_columns + WIDTH - 1) / WIDTH, some;
    for (int v = 0; v < vectors; v += some) {
        int left = vectors - v, column = v * WIDTH;
        some = left == 4 ? 2 : left < 3 ? left : 3; /* one vector alone is slow */
        if (some == 3)
            CALL(3);
        else if (some == 2)
            CALL(2);
        else
            CALL(1);
    }
}

static void copy(const float *const *at, size_t n, const struct view *v, int from, int to, float *panels,
                 size_t panel)
{
    /* between the vectors of a pixel, and between its values */
    size_t c_step = v->inner == WIDTH ? v->b_stride
                    : v->inner == 1   ? WIDTH * v->b_stride
                                      : WIDTH,
           step = v->inner == 1 ? v->b_stride : 1;
    for (size_t first = 0; first < n; first += 8) /* pixels: rows are read, and panels written, in lines */
        for (int c = from; c < to; c += WIDTH) {
            float *out = panels + (size_t)(c / WIDTH) * panel;
            int left = to - c;
            for (size_t k = first; k < n && k < first + 8; k++) {
                const float *x = at[k] ? at[k] + (size_t)(c / WIDTH) * c_step : NULL;
                if (!x || left < WIDTH || step > 1) STORE(out + k * WIDTH, ZERO());
                if (x && left >= WIDTH && step == 1)
                    STORE(out + k * WIDTH, LOAD(x));
                else if (x)
                    for (int i = 0; i < left && i < WIDTH; i++)
                        out[k * WIDTH + (size_t)i] = x[(size_t)i * step];
            }
        }
}

static const struct outer_kernels table = {WIDTH, part, copy};
