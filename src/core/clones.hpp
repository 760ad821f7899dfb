// Functions compiled once per width of the processor's vectors, chosen when the module is loaded.
//
//   ORDERVET_CLONES void f(...)    plain, AVX2 and AVX-512 on x86-64 with glibc; elsewhere as the compiler has it
//
// All versions give the same bits: they hold integer arithmetic, or doubles in an order that no width changes.

#pragma once

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(ORDERVET_SANITIZED)
#define ORDERVET_CLONES [[gnu::target_clones("default", "avx2", "avx512f")]]
#else
#define ORDERVET_CLONES
#endif
