/* tree: growing an RFC 6962 Merkle tree by its peaks, and checking proofs. Knows hashes only. */
#include "ledger/tree.h"

#include <string.h>

#include "base/error.h"

es_status es__tree_node(es_chain *chain, es_hash *out, const es_hash *left, const es_hash *right,
                        es_error *err) {
  uint8_t bytes[1 + 2 * ES_HASH_SIZE] = {0x01}; /* RFC 6962, 2.1: leaves 0x00, nodes 0x01 */

  memcpy(bytes + 1, left->bytes, ES_HASH_SIZE);
  memcpy(bytes + 1 + ES_HASH_SIZE, right->bytes, ES_HASH_SIZE);
  return es__sha256(chain, out->bytes, bytes, sizeof bytes, NULL, 0, err);
}

bool es__hash_equal(const es_hash *a, const es_hash *b) {
  return memcmp(a->bytes, b->bytes, ES_HASH_SIZE) == 0;
}

es_status es__tree_append(es_tree *tree, es_chain *chain, const es_hash *leaf, es_tree_node node,
                          void *node_data, es_error *err) {
  es_hash hash = *leaf;
  int height = 0;
  es_status status = ES_OK;

  if (tree->size == INT64_MAX) {
    return es__fail(err, ES_ERR_OTHER, "tree_full",
                    "the tree holds %lld leaves, the most there are", (long long)INT64_MAX);
  }
  if (node != NULL) status = node(node_data, 0, tree->size, &hash, err);
  for (; status == ES_OK && (tree->size >> height & 1) == 1; height++) {
    status = es__tree_node(chain, &hash, &tree->peaks[height], &hash, err);
    if (status != ES_OK) break;
    if (node != NULL) status = node(node_data, height + 1, tree->size >> (height + 1), &hash, err);
  }
  if (status != ES_OK) return status;
  tree->peaks[height] = hash;
  tree->size++;
  return ES_OK;
}

es_status es__tree_root(es_hash *out, const es_tree *tree, es_chain *chain, es_error *err) {
  bool started = false;
  es_status status;

  if (tree->size == 0) return es__sha256(chain, out->bytes, NULL, 0, NULL, 0, err);
  for (int height = 0; height < ES_TREE_HEIGHT_MAX; height++) {
    if ((tree->size >> height & 1) == 0) continue;
    if (started) {
      status = es__tree_node(chain, out, &tree->peaks[height], out, err);
      if (status != ES_OK) return status;
    } else {
      *out = tree->peaks[height];
      started = true;
    }
  }
  return ES_OK;
}

static es_status bad_proof(es_error *err, const char *why) {
  return es__fail(err, ES_ERR_INTEGRITY, "bad_proof", "the proof does not hold: %s", why);
}

es_status es__inclusion_check(const es_path *path, int64_t size, const es_hash *root, int64_t index,
                              const es_hash *leaf, es_chain *chain, es_error *err) {
  int64_t node = index, last = size - 1;
  es_hash hash = *leaf;
  es_status status;

  if (index < 0 || size < 0 || path->count > ES_PATH_MAX) return bad_proof(err, "malformed");
  if (index >= size) return bad_proof(err, "the leaf lies beyond the tree's size");
  for (size_t i = 0; i < path->count; i++) {
    const es_hash *sibling = &path->hashes[i];
    if (last == 0) return bad_proof(err, "it has more hashes than the tree has levels");
    if ((node & 1) == 1 || node == last) {
      status = es__tree_node(chain, &hash, sibling, &hash, err);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      status = es__tree_node(chain, &hash, &hash, sibling, err);
    }
    if (status != ES_OK) return status;
    node >>= 1;
    last >>= 1;
  }
  if (last != 0) return bad_proof(err, "it has fewer hashes than the tree has levels");
  if (!es__hash_equal(&hash, root)) return bad_proof(err, "it leads to another root");
  return ES_OK;
}

es_status es__consistency_check(const es_path *path, int64_t old_size, const es_hash *old_root,
                                int64_t size, const es_hash *root, es_chain *chain, es_error *err) {
  int64_t node = old_size - 1, last = size - 1;
  es_hash old_hash, hash;
  size_t at = 0;
  es_status status;

  if (old_size < 0 || size < 0 || path->count > ES_PATH_MAX) return bad_proof(err, "malformed");
  if (old_size > size) return bad_proof(err, "the older tree is larger than the newer one");
  if (old_size == 0 || old_size == size) {
    if (path->count != 0) return bad_proof(err, "it has hashes where none are needed");
    if (old_size == 0) {
      status = es__tree_root(&hash, &(es_tree){0}, chain, err);
      if (status != ES_OK) return status;
      if (!es__hash_equal(old_root, &hash))
        return bad_proof(err, "the older tree is empty and has not the root of the empty tree");
    }
    if (old_size == size && !es__hash_equal(old_root, root))
      return bad_proof(err, "two trees of one size have different roots");
    return ES_OK;
  }
  while ((node & 1) == 1) {
    node >>= 1;
    last >>= 1;
  }
  if (node == 0) { /* the old tree is perfect, so its root is the first hash and is left out */
    hash = *old_root;
  } else {
    if (path->count == 0) return bad_proof(err, "it has fewer hashes than the tree has levels");
    hash = path->hashes[at++];
  }
  old_hash = hash;
  for (; at < path->count; at++) {
    const es_hash *sibling = &path->hashes[at];
    if (last == 0) return bad_proof(err, "it has more hashes than the tree has levels");
    if ((node & 1) == 1 || node == last) {
      status = es__tree_node(chain, &old_hash, sibling, &old_hash, err);
      if (status == ES_OK) status = es__tree_node(chain, &hash, sibling, &hash, err);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      status = es__tree_node(chain, &hash, &hash, sibling, err);
    }
    if (status != ES_OK) return status;
    node >>= 1;
    last >>= 1;
  }
  if (last != 0) return bad_proof(err, "it has fewer hashes than the tree has levels");
  if (!es__hash_equal(&old_hash, old_root)) return bad_proof(err, "the older root is another one");
  if (!es__hash_equal(&hash, root)) return bad_proof(err, "the newer root is another one");
  return ES_OK;
}
