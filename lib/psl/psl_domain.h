/* psl_domain.h: finds the registrable domain of a host name, with the Public Suffix List of libpsl. */
#ifndef WINNOW_PSL_PSL_DOMAIN_H
#define WINNOW_PSL_PSL_DOMAIN_H

/*
 * Returns the registrable domain, a part of host, or NULL if the host is itself a suffix ("co.uk") or there
 * is no list. For "img.example.co.uk" it is "example.co.uk". For "ann.github.io" it is the whole host,
 * because the list also contains domains whose owners give subdomains to their users. host: in lower case,
 * ASCII or UTF-8, without a dot at the end, and not an address.
 */
const char *psl_domain(const char *host);

#endif
