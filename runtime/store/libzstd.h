/* libzstd: the functions of Zstandard that segments need, from the library that is loaded when the first of them is wanted
 * (docs/adr/0012-segments.md). */
#ifndef ES_STORE_LIBZSTD_H
#define ES_STORE_LIBZSTD_H

#include <zstd.h>

#include "esrun.h"

/* clang-format off */
#define ES_LIBZSTD_FUNCTIONS(F)                                                                                          \
  F(ZSTD_createCCtx) F(ZSTD_freeCCtx) F(ZSTD_CCtx_setParameter) F(ZSTD_compress2) F(ZSTD_compressBound)                  \
  F(ZSTD_decompress) F(ZSTD_getFrameContentSize) F(ZSTD_isError) F(ZSTD_getErrorName)
/* clang-format on */

struct es_libzstd {
#define ES_LIBZSTD_MEMBER(name) __typeof__(&(name)) name;
  ES_LIBZSTD_FUNCTIONS(ES_LIBZSTD_MEMBER)
#undef ES_LIBZSTD_MEMBER
};

/* The functions; NULL: the library is not there, and err says so. */
const struct es_libzstd *es__libzstd(es_error *err);

#endif
