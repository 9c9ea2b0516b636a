// A plugin for qemu-user: how often each block of translated code is executed between two marks. Debian ships no header
// for plugins, so what is used of version 1 of the interface (qemu 4.2 to 8) is declared here.
//
// A mark is the system call kill(MARK + i, 0), which asks whether a process exists that cannot: no process has so large a
// number. i = 0 sets all counters to zero; i > 0 writes those that are not zero as lines "i address instructions executions".
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t, void (*)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                               uint64_t, uint64_t, uint64_t));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
EXPORT int qemu_plugin_version = 1;

#define MARK 0x7f000000
#define MARKS 65536
#define KILL_X64 62
#define KILL_ARM64 129
#define BUCKETS (1 << 18)

// The same address may be translated again, also as a longer or shorter block: one counter for each length.
struct block {
  uint64_t address, instructions, executions;
  struct block *next;
};
static struct block *table[BUCKETS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static FILE *out;

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  uint64_t address = qemu_plugin_tb_vaddr(tb), instructions = qemu_plugin_tb_n_insns(tb);
  struct block **bucket = &table[(address * 0x9e3779b97f4a7c15u) >> 46], *b;
  pthread_mutex_lock(&mutex);
  for (b = *bucket; b; b = b->next)
    if (b->address == address && b->instructions == instructions) break;
  if (!b) {
    b = calloc(1, sizeof *b);
    b->address = address;
    b->instructions = instructions;
    b->next = *bucket;
    *bucket = b;
  }
  pthread_mutex_unlock(&mutex);
  qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &b->executions, 1);
}

static void called(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                   uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  uint64_t mark = a1 - MARK;
  if ((number != KILL_X64 && number != KILL_ARM64) || mark >= MARKS) return;
  pthread_mutex_lock(&mutex);
  for (int i = 0; i < BUCKETS; i++) {
    for (struct block *b = table[i]; b; b = b->next) {
      if (mark == 0) b->executions = 0;
      else if (b->executions)
        fprintf(out, "%" PRIu64 " %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", mark, b->address, b->instructions, b->executions);
    }
  }
  fflush(out);
  pthread_mutex_unlock(&mutex);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  for (int i = 0; i < argc; i++)
    if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
  if (!out) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
