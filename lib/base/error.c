#include "base/error.h"
#undef error_set
#undef error_errno
#undef error_prefix

#include <errno.h>
#include <stdio.h>
#include <string.h>

int error_vset(struct error *err, int code, const char *format, va_list args)
{
    err->code = code;
    err->saved_errno = 0;
    vsnprintf(err->text, sizeof err->text, format, args);
    return -1;
}

int error_set(struct error *err, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_vset(err, code, format, args);
    va_end(args);
    return -1;
}

int error_errno(struct error *err, int code, const char *format, ...)
{
    int saved = errno;
    char why[128];
    va_list args;
    va_start(args, format);
    error_vset(err, code, format, args);
    va_end(args);
    if (saved == ENOMEM)
        err->code = EX_OSERR;
    else if (saved == ENOSPC || saved == EDQUOT || saved == EFBIG || saved == EIO)
        err->code = EX_IOERR;
    err->saved_errno = saved;
    size_t n = strlen(err->text);
    snprintf(err->text + n, sizeof err->text - n, ": %s", strerror_r(saved, why, sizeof why));
    errno = saved;
    return -1;
}

int error_prefix(struct error *err, const char *format, ...)
{
    char old[ERROR_TEXT_BYTES];
    va_list args;
    memcpy(old, err->text, sizeof old);
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    size_t n = strlen(err->text);
    snprintf(err->text + n, sizeof err->text - n, ": %s", old);
    return -1;
}

bool errno_of_machine(int number)
{
    return number == EIO || number == EMFILE || number == ENFILE || number == ENOMEM || number == ESTALE;
}

void error_clear(struct error *err) { *err = (struct error){0}; }
