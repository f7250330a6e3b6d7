/* psl_domain.h: finds the registrable domain of a host name, with the Public Suffix List of libpsl. */
#ifndef WINNOW_PSL_PSL_DOMAIN_H
#define WINNOW_PSL_PSL_DOMAIN_H

/*
 * "img.example.co.uk" gives "example.co.uk". "ann.github.io" gives itself, because the list also has domains
 * that give subdomains to their users. host: in lower case, ASCII or UTF-8, without a dot at the end, and not
 * an address. Returns a part of host, or NULL if the host is itself a suffix ("co.uk") or there is no list.
 */
const char *psl_domain(const char *host);

#endif
