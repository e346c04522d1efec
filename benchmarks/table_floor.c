/* What an exact Adam step on the rows of a batch cannot do without, in one tight loop a part: each id's value
   read, gradients of repeated ids summed, value and both moments of each distinct row read and written, every
   row asked for PREFETCH ids ahead. train_speed.py compiles and times it; nothing else uses it. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DIM 4
#define PREFETCH 24

/* values [R, DIM], moments [R, 2, DIM], owner [R]: the table's; ids [n]; read, gradients, sums [n, DIM];
   rows [n]. Returns how many rows are distinct. */
int step(float *values, float *moments, int32_t *owner, const int32_t *ids, int n, float *read,
         const float *gradients, float *sums, int32_t *rows) {
  int distinct = 0;
  for (int i = 0; i < n; i++) {
    if (i + PREFETCH < n) __builtin_prefetch(values + (size_t)ids[i + PREFETCH] * DIM);
    memcpy(read + (size_t)i * DIM, values + (size_t)ids[i] * DIM, DIM * sizeof(float));
  }
  for (int i = 0; i < n; i++) {
    if (i + PREFETCH < n) __builtin_prefetch(owner + ids[i + PREFETCH], 1);
    owner[ids[i]] = -1;
  }
  for (int i = 0; i < n; i++) {
    int32_t *own = owner + ids[i];
    if (*own < 0) {
      memset(sums + (size_t)distinct * DIM, 0, DIM * sizeof(float));
      rows[distinct] = ids[i];
      *own = distinct++;
    }
    for (int d = 0; d < DIM; d++) sums[(size_t)*own * DIM + d] += gradients[(size_t)i * DIM + d];
  }
  for (int j = 0; j < distinct; j++) {
    if (j + PREFETCH < distinct) {
      __builtin_prefetch(values + (size_t)rows[j + PREFETCH] * DIM, 1);
      __builtin_prefetch(moments + (size_t)rows[j + PREFETCH] * 2 * DIM, 1);
    }
    float *w = values + (size_t)rows[j] * DIM, *m = moments + (size_t)rows[j] * 2 * DIM, *v = m + DIM;
    for (int d = 0; d < DIM; d++) {
      float g = sums[(size_t)j * DIM + d];
      m[d] += .1f * (g - m[d]);
      v[d] += .001f * (g * g - v[d]);
      w[d] -= .001f * m[d] / (sqrtf(v[d]) + 1e-7f);
    }
  }
  return distinct;
}
