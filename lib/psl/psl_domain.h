/* psl_domain.h: which part of a host's name somebody registered, by the Public Suffix List of libpsl. */
#ifndef WINNOW_PSL_PSL_DOMAIN_H
#define WINNOW_PSL_PSL_DOMAIN_H

/*
 * "img.example.co.uk" gives "example.co.uk", and "ann.github.io" itself, since the list has the names
 * below which sites give names to others. host: in lower case, ASCII or UTF-8, without a dot at the end, and
 * not an address. Returns a part of host, or NULL where the host is a suffix itself ("co.uk") or there is no
 * list.
 */
const char *psl_domain(const char *host);

#endif
