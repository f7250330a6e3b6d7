/*
 * winograd_body.h: the loops of winograd.h, included once by each winograd_<isa>.c, which defines vec and
 * its operations. A vector always consists of adjacent channels, so a transform only adds whole vectors.
 */
#define FLATTEN static inline __attribute__((always_inline))

/* --- one line of a tile: inputs to points, points to outputs, output gradients to points --- */

FLATTEN void input_4(const vec *d, vec *t)
{
    t[0] = SUB(d[0], d[2]);
    t[1] = ADD(d[1], d[2]);
    t[2] = SUB(d[2], d[1]);
    t[3] = SUB(d[1], d[3]);
}
/* F(2, 2), with the points 0, -1 and infinity. */
FLATTEN void input_3(const vec *d, vec *t)
{
    t[0] = SUB(d[0], d[1]);
    t[1] = d[1];
    t[2] = SUB(d[2], d[1]);
}
FLATTEN void input_5(const vec *d, vec *t)
{
    const vec half = SET1(0.5f);
    vec odd = SUB(d[3], d[1]), near = SUB(d[2], d[1]);
    t[0] = FMA(half, SUB(d[0], d[2]), odd);
    t[1] = FMA(half, near, d[3]);
    t[2] = FNMA(half, near, SUB(d[3], d[2]));
    t[3] = odd;
    t[4] = FNMA(half, odd, SUB(d[4], d[2]));
}
FLATTEN void input_6(const vec *d, vec *t)
{
    const vec half = SET1(0.5f), quarter = SET1(0.25f), more = SET1(1.25f);
    vec even = FNMA(quarter, d[2], d[4]), odd = FNMA(quarter, d[1], d[3]);
    vec even2 = SUB(d[4], d[2]), odd2 = SUB(d[3], d[1]);
    t[0] = FMA(quarter, d[0], FNMA(more, d[2], d[4]));
    t[1] = ADD(even, odd);
    t[2] = SUB(even, odd);
    t[3] = FMA(half, odd2, even2);
    t[4] = FNMA(half, odd2, even2);
    t[5] = FMA(quarter, d[1], FNMA(more, d[3], d[5]));
}

FLATTEN void output_2(const vec *m, vec *y)
{
    y[0] = ADD(ADD(m[0], m[1]), m[2]);
    y[1] = SUB(SUB(m[1], m[2]), m[3]);
}
FLATTEN void output_2_of_6(const vec *m, vec *y)
{
    y[0] = ADD(ADD(m[0], ADD(m[1], m[2])), ADD(m[3], m[4]));
    y[1] = ADD(FMA(SET1(0.5f), SUB(m[3], m[4]), SUB(m[1], m[2])), m[5]);
}
FLATTEN void output_3_of_5(const vec *m, vec *y)
{
    vec sum = ADD(m[1], m[2]), difference = SUB(m[1], m[2]);
    y[0] = ADD(ADD(m[0], sum), m[3]);
    y[1] = FMA(SET1(0.5f), m[3], difference);
    y[2] = ADD(FMA(SET1(0.25f), m[3], sum), m[4]);
}
FLATTEN void output_3_of_6(const vec *m, vec *y)
{
    vec sum = ADD(m[1], m[2]), difference = SUB(m[1], m[2]), sum2 = ADD(m[3], m[4]),
        difference2 = SUB(m[3], m[4]);
    y[0] = ADD(ADD(m[0], sum), sum2);
    y[1] = FMA(SET1(0.5f), difference2, difference);
    y[2] = ADD(FMA(SET1(0.25f), sum2, sum), m[5]);
}
FLATTEN void output_4(const vec *m, vec *y)
{
    vec sum = ADD(m[1], m[2]), difference = SUB(m[1], m[2]), sum2 = ADD(m[3], m[4]),
        difference2 = SUB(m[3], m[4]);
    y[0] = ADD(ADD(m[0], sum), sum2);
    y[1] = FMA(SET1(0.5f), difference2, difference);
    y[2] = FMA(SET1(0.25f), sum2, sum);
    y[3] = ADD(FMA(SET1(0.125f), difference2, difference), m[5]);
}

FLATTEN void gradient_4(const vec *y, vec *m)
{
    m[0] = y[0];
    m[1] = ADD(y[0], y[1]);
    m[2] = SUB(y[0], y[1]);
    m[3] = SUB(ZERO(), y[1]);
}
FLATTEN void gradient_5_of_3(const vec *y, vec *m)
{
    vec even = ADD(y[0], y[2]);
    m[0] = y[0];
    m[1] = ADD(even, y[1]);
    m[2] = SUB(even, y[1]);
    m[3] = FMA(SET1(0.5f), y[1], FMA(SET1(0.25f), y[2], y[0]));
    m[4] = y[2];
}
FLATTEN void gradient_6_of_3(const vec *y, vec *m)
{
    vec even = ADD(y[0], y[2]), even2 = FMA(SET1(0.25f), y[2], y[0]);
    m[0] = y[0];
    m[1] = ADD(even, y[1]);
    m[2] = SUB(even, y[1]);
    m[3] = FMA(SET1(0.5f), y[1], even2);
    m[4] = FNMA(SET1(0.5f), y[1], even2);
    m[5] = y[2];
}
FLATTEN void gradient_6_of_4(const vec *y, vec *m)
{
    vec even = ADD(y[0], y[2]), odd = ADD(y[1], y[3]), even2 = FMA(SET1(0.25f), y[2], y[0]),
        odd2 = FMA(SET1(0.25f), y[3], y[1]);
    m[0] = y[0];
    m[1] = ADD(even, odd);
    m[2] = SUB(even, odd);
    m[3] = FMA(SET1(0.5f), odd2, even2);
    m[4] = FNMA(SET1(0.5f), odd2, even2);
    m[5] = y[3];
}

/* --- tiles --- */

/* Sets at to the addresses of the tile's n_y x n_x values for channel 0, from (y0, x0) of picture n on; NULL
 * for values outside the picture. Returns false when some are outside. */
FLATTEN bool find_values(const struct view *v, int n, int y0, int x0, int n_y, int n_x, float **at)
{
    float *picture = v->p + (size_t)n * v->n_stride;
    bool inside = y0 >= 0 && x0 >= 0 && y0 + n_y <= v->h && x0 + n_x <= v->w;
    for (int i = 0; i < n_y; i++)
        for (int k = 0; k < n_x; k++) {
            int y = y0 + i, x = x0 + k;
            bool is = inside || (y >= 0 && y < v->h && x >= 0 && x < v->w);
            at[i * n_x + k] = is ? picture + ((size_t)y * (size_t)v->w + (size_t)x) * v->px_stride : NULL;
        }
    return inside;
}
/* Returns the offset of channel c, which is a multiple of the vector's length, in NHWC or in blocks of 8
 * channels. */
FLATTEN size_t channel_at(const struct view *v, int c)
{
    return v->blocks == 1 ? (size_t)c : (size_t)(c / 8) * v->b_stride + (size_t)(c % 8);
}
FLATTEN vec load_or_zero(const float *p, size_t offset) { return p ? LOAD(p + offset) : ZERO(); }

struct tile {
    int n, y, x;
};
FLATTEN struct tile tile_of(const struct winograd_grid *g, size_t i)
{
    size_t row = i / (size_t)g->tiles_x;
    return (struct tile){(int)(row / (size_t)g->tiles_y), (int)(row % (size_t)g->tiles_y) * g->step_y,
                         (int)(i % (size_t)g->tiles_x) * g->step_x};
}

#define POINTS_3X3 16
#define POINTS_3X3_WIDE 24
#define POINTS_5X5 42
#define POINTS_3 6
#define POINTS_7 11

/* One copy of the loops for each form, with constant sizes: CALL(rows and columns that a tile
 * reads, those that it makes, points) */
#define FOR_FORM(form, CALL)                                                                                 \
    switch (form) {                                                                                          \
    case WINOGRAD_3X3_WIDE: CALL(4, 6, 2, 4, POINTS_3X3_WIDE); break;                                        \
    case WINOGRAD_5X5: CALL(6, 6, 2, 2, POINTS_5X5); break;                                                  \
    default: FOR_LEARNING_FORM(form, CALL);                                                                  \
    }
#define FOR_LEARNING_FORM(form, CALL)                                                                        \
    switch (form) {                                                                                          \
    case WINOGRAD_3X3: CALL(4, 4, 2, 2, POINTS_3X3); break;                                                  \
    case WINOGRAD_1X3: CALL(1, 6, 1, 4, POINTS_3); break;                                                    \
    case WINOGRAD_3X1: CALL(6, 1, 4, 1, POINTS_3); break;                                                    \
    case WINOGRAD_1X7: CALL(1, 9, 1, 3, POINTS_7); break;                                                    \
    default: CALL(9, 1, 3, 1, POINTS_7);                                                                     \
    }

/* Transforms the values [n_values] of one channel vector to its points. */
FLATTEN void input_points(int kernel, const vec *d, vec *t)
{
    if (kernel == 3)
        input_6(d, t);
    else {
        input_6(d, t);
        input_5(d + 4, t + 6);
    }
}
FLATTEN void input_points_3x3(const vec *d, vec *t)
{
    vec between[16];
    for (int k = 0; k < 4; k++) {
        vec column[4] = {d[k], d[4 + k], d[8 + k], d[12 + k]}, out[4];
        input_4(column, out);
        for (int i = 0; i < 4; i++)
            between[i * 4 + k] = out[i];
    }
    for (int i = 0; i < 4; i++)
        input_4(between + i * 4, t + i * 4);
}

/* 4 or 6 lines of 6 values: columns first. */
FLATTEN void input_points_6(const vec *d, vec *t, int n_lines)
{
    vec between[42];
    for (int k = 0; k < 6; k++) {
        vec column[6], out[7];
        for (int i = 0; i < n_lines; i++)
            column[i] = d[6 * i + k];
        input_4(column, out);
        if (n_lines == 6) input_3(column + 3, out + 4);
        for (int i = 0; i < (n_lines == 6 ? 7 : 4); i++)
            between[6 * i + k] = out[i];
    }
    for (int i = 0; i < (n_lines == 6 ? 7 : 4); i++)
        input_6(between + 6 * i, t + 6 * i);
}

FLATTEN void input_tiles(const struct winograd_grid *g, const struct view *x, size_t first, size_t n,
                         float *v, size_t rows, bool panels, int n_y, int n_x, int n_points)
{
    int n_c = x->blocks * x->inner, n_values = n_y * n_x;
    size_t step = panels ? WIDTH : (size_t)n_c, c_step = panels ? rows : 1;
    for (size_t i = 0; i < n; i++) {
        struct tile t = tile_of(g, first + i);
        float *at[36], *out = v + i * step;
        bool inside = find_values(x, t.n, t.y - g->pad_y, t.x - g->pad_x, n_y, n_x, at);
        for (int c = 0; c < n_c; c += WIDTH) {
            vec d[36], points[MAX_POINTS];
            size_t offset = channel_at(x, c);
            if (inside)
                for (int k = 0; k < n_values; k++)
                    d[k] = LOAD(at[k] + offset);
            else
                for (int k = 0; k < n_values; k++)
                    d[k] = load_or_zero(at[k], offset);
            if (n_points == POINTS_3X3)
                input_points_3x3(d, points);
            else if (n_points == POINTS_3X3_WIDE || n_points == POINTS_5X5)
                input_points_6(d, points, n_y);
            else
                input_points(n_points == POINTS_3 ? 3 : 7, d, points);
            for (int p = 0; p < n_points; p++)
                STORE(out + (size_t)p * rows * (size_t)n_c + (size_t)c * c_step, points[p]);
        }
    }
}

#define INPUT(READ_Y, READ_X, MADE_Y, MADE_X, POINTS)                                                        \
    input_tiles(g, x, first, n, v, rows, panels, READ_Y, READ_X, POINTS)
static void input(const struct winograd_grid *g, const struct view *x, size_t first, size_t n, float *v,
                  size_t rows, bool panels)
{
    FOR_FORM(g->form, INPUT);
}

FLATTEN vec activated(vec v, struct act act)
{
    /* max and min give their second operand when one is NaN: so NaN stays */
    if (act.kind == OP_RELU || act.kind == OP_RELU_CAPPED) v = MAX(ZERO(), v);
    if (act.kind == OP_RELU_CAPPED) v = MIN(SET1(act.max), v);
    return v;
}

FLATTEN void output_values(const vec *m, vec *y, int n_points)
{
    if (n_points == POINTS_3)
        output_4(m, y);
    else if (n_points == POINTS_7) {
        vec more[3];
        output_3_of_6(m, y);
        output_3_of_5(m + 6, more);
        for (int k = 0; k < 3; k++)
            y[k] = ADD(y[k], more[k]);
    } else if (n_points == POINTS_3X3_WIDE) {
        vec lines[16];
        for (int i = 0; i < 4; i++)
            output_4(m + 6 * i, lines + 4 * i);
        for (int k = 0; k < 4; k++) {
            vec column[4] = {lines[k], lines[4 + k], lines[8 + k], lines[12 + k]}, out[2];
            output_2(column, out);
            y[k] = out[0];
            y[4 + k] = out[1];
        }
    } else if (n_points == POINTS_5X5) {
        vec lines[14];
        for (int i = 0; i < 7; i++)
            output_2_of_6(m + 6 * i, lines + 2 * i);
        for (int k = 0; k < 2; k++) {
            vec column[4] = {lines[k], lines[2 + k], lines[4 + k], lines[6 + k]}, out[2];
            output_2(column, out);
            y[k] = ADD(out[0], ADD(lines[8 + k], lines[10 + k]));
            y[2 + k] = ADD(out[1], ADD(lines[10 + k], lines[12 + k]));
        }
    } else {
        vec between[8];
        for (int k = 0; k < 4; k++) {
            vec column[4] = {m[k], m[4 + k], m[8 + k], m[12 + k]}, out[2];
            output_2(column, out);
            between[k] = out[0];
            between[4 + k] = out[1];
        }
        output_2(between, y);
        output_2(between + 4, y + 2);
    }
}

FLATTEN void output_tiles(const struct winograd_grid *g, const struct view *y, size_t first, size_t n,
                          const float *m, size_t rows, int c0, int width, const float *bias, struct act act,
                          bool accumulate, int n_y, int n_x, int n_points)
{
    int n_values = n_y * n_x;
    for (size_t i = 0; i < n; i++) {
        struct tile t = tile_of(g, first + i);
        float *at[8];
        const float *in = m + i * (size_t)width;
        bool inside = find_values(y, t.n, t.y, t.x, n_y, n_x, at);
        for (int c = 0; c < width; c += WIDTH) {
            vec points[MAX_POINTS], out[8];
            size_t offset = channel_at(y, c0 + c);
            for (int p = 0; p < n_points; p++)
                points[p] = LOAD(in + (size_t)p * rows * (size_t)width + c);
            output_values(points, out, n_points);
            vec add = bias ? LOAD(bias + c0 + c) : ZERO();
            for (int k = 0; k < n_values; k++) {
                if (!inside && !at[k]) continue;
                vec value = accumulate ? ADD(out[k], LOAD(at[k] + offset)) : activated(ADD(out[k], add), act);
                STORE(at[k] + offset, value);
            }
        }
    }
}

#define OUTPUT(READ_Y, READ_X, MADE_Y, MADE_X, POINTS)                                                       \
    output_tiles(g, y, first, n, m, rows, c0, width, bias, act, accumulate, MADE_Y, MADE_X, POINTS)
static void output(const struct winograd_grid *g, const struct view *y, size_t first, size_t n,
                   const float *m, size_t rows, int c0, int width, const float *bias, struct act act,
                   bool accumulate)
{
    FOR_FORM(g->form, OUTPUT);
}

FLATTEN void gradient_points(const vec *y, vec *m, int n_points)
{
    if (n_points == POINTS_3)
        gradient_6_of_4(y, m);
    else if (n_points == POINTS_7) {
        gradient_6_of_3(y, m);
        gradient_5_of_3(y, m + 6);
    } else {
        vec columns[2][4];
        for (int k = 0; k < 2; k++) {
            vec column[2] = {y[k], y[2 + k]};
            gradient_4(column, columns[k]);
        }
        for (int i = 0; i < 4; i++) {
            vec row[2] = {columns[0][i], columns[1][i]};
            gradient_4(row, m + i * 4);
        }
    }
}

FLATTEN void gradient_tiles(const struct winograd_grid *g, const struct view *dy, size_t first, size_t n,
                            float *to, size_t rows, int n_y, int n_x, int n_points)
{
    int n_c = dy->blocks * dy->inner, n_values = n_y * n_x;
    for (size_t i = 0; i < n; i++) {
        struct tile t = tile_of(g, first + i);
        float *at[4], *out = to + i * WIDTH;
        find_values(dy, t.n, t.y, t.x, n_y, n_x, at);
        for (int c = 0; c < n_c; c += WIDTH) {
            vec d[4], points[16];
            size_t offset = channel_at(dy, c);
            for (int k = 0; k < n_values; k++)
                d[k] = load_or_zero(at[k], offset);
            gradient_points(d, points, n_points);
            for (int p = 0; p < n_points; p++)
                STORE(out + (size_t)p * rows * (size_t)n_c + (size_t)c * rows, points[p]);
        }
    }
}

#define GRADIENT(READ_Y, READ_X, MADE_Y, MADE_X, POINTS)                                                     \
    gradient_tiles(g, dy, first, n, out, rows, MADE_Y, MADE_X, POINTS)
static void gradient(const struct winograd_grid *g, const struct view *dy, size_t first, size_t n, float *out,
                     size_t rows)
{
    FOR_LEARNING_FORM(g->form, GRADIENT);
}

typedef float half __attribute__((vector_size(2 * WIDTH), aligned(4), may_alias));
typedef double wide __attribute__((vector_size(4 * WIDTH)));

static void pack(const double matrix[][MAX_TAPS], int n_points, const float *tap, size_t tap_stride,
                 int n_taps, int width, float *to, size_t stride)
{
    for (int c = 0; c < width; c += WIDTH) {
        wide low[MAX_TAPS], high[MAX_TAPS];
        for (int t = 0; t < n_taps; t++) {
            const half *from = (const half *)(tap + (size_t)t * tap_stride + c);
            low[t] = __builtin_convertvector(from[0], wide);
            high[t] = __builtin_convertvector(from[1], wide);
        }
        for (int p = 0; p < n_points; p++) {
            wide sum = {0}, sum2 = {0};
            for (int t = 0; t < n_taps; t++)
                if (matrix[p][t] != 0) {
                    sum += matrix[p][t] * low[t];
                    sum2 += matrix[p][t] * high[t];
                }
            half *out = (half *)(to + (size_t)p * stride + c);
            out[0] = __builtin_convertvector(sum, half);
            out[1] = __builtin_convertvector(sum2, half);
        }
    }
}

/* --- the products: R rows by C vectors of sums stay in registers --- */

/*
 * n_k is a multiple of 16. It also prefetches data: the part of `a` that the next tile reads, into the
 * first-level cache, and the columns of the next point, which follow b, into the second-level cache. For each
 * block of tiles, 1 to 6 MB of weights are read from the third-level cache. All tiles are in one function
 * because gcc 12 gives registers to the sums only where the loops over them are within another loop.
 */
#define UNROLLED _Pragma("GCC unroll 24")
#define PRODUCT(R, C)                                                                                        \
    static void product_##R##x##C(const float *a, size_t n, const float *b, int n_k, float *c)               \
    {                                                                                                        \
        const float *const following = b + (size_t)n_k * C * WIDTH;                                          \
        const char *ahead = (const char *)following;                                                         \
        const char *const ahead_end = ahead + (size_t)n_k * C * WIDTH * sizeof *b;                           \
        const int lines = (int)((size_t)(C * WIDTH) / ((n + R - 1) / R)) + 1; /* in 16 of n_k */             \
        for (size_t i = 0; i < n; i += R, a += R * n_k) {                                                    \
            vec sum[R][C];                                                                                   \
            const float *row[R], *column = b, *next = a + (n - i > R ? R * n_k : 0);                         \
            UNROLLED for (size_t r = 0; r < R; r++)                                                          \
            {                                                                                                \
                row[r] = a + (r < n - i ? r : n - i - 1) * (size_t)n_k;                                      \
                for (int v = 0; v < C; v++)                                                                  \
                    sum[r][v] = ZERO();                                                                      \
            }                                                                                                \
            for (int k = 0; k < n_k; k += 16) {                                                              \
                for (int r = 0; r < R; r++)                                                                  \
                    __builtin_prefetch(next + r * n_k + k);                                                  \
                if (ahead < ahead_end)                                                                       \
                    for (int line = 0; line < lines; line++, ahead += 64)                                    \
                        __builtin_prefetch(ahead, 0, 2);                                                     \
                UNROLLED for (int j = 0; j < 16; j++, column += C * WIDTH)                                   \
                {                                                                                            \
                    vec w[C];                                                                                \
                    for (int v = 0; v < C; v++)                                                              \
                        w[v] = LOAD(column + v * WIDTH);                                                     \
                    UNROLLED for (int r = 0; r < R; r++)                                                     \
                    {                                                                                        \
                        vec value = SET1(row[r][k + j]);                                                     \
                        for (int v = 0; v < C; v++)                                                          \
                            ACCUMULATE(sum[r][v], value, w[v]);                                              \
                    }                                                                                        \
                }                                                                                            \
            }                                                                                                \
            UNROLLED for (size_t r = 0; r < R; r++)                                                          \
            {                                                                                                \
                if (r >= n - i) break;                                                                       \
                for (int v = 0; v < C; v++)                                                                  \
                    STORE(c + (i + r) * C * WIDTH + v * WIDTH, sum[r][v]);                                   \
            }                                                                                                \
        }                                                                                                    \
    }
