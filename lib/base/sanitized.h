/*
 * sanitized.h: SANITIZED is 1 in a build with AddressSanitizer or ThreadSanitizer. Their shadow memory takes
 * terabytes of address space, so such a build cannot limit its address space. gcc defines a macro for each
 * sanitiser; clang has __has_feature.
 */
#ifndef WINNOW_BASE_SANITIZED_H
#define WINNOW_BASE_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
