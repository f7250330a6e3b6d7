/*
 * http_proxy.c: the address of a proxy, which may hold a password. It is checked before libcurl sees it, because libcurl's own complaint
 * quotes the whole address, and that would end up in a journal and a manifest.
 */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/http.h"
#include "io/io.h"

#define FILE_MAX_BYTES 8192u

static bool understood(const char *address)
{
    static const char *const schemes[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"};
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL;
    bool good = false;
    if (u && curl_url_set(u, CURLUPART_URL, address, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0])
        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
            good |= strcmp(scheme, schemes[i]) == 0;
    /* Without a scheme the host guesses it ("ftp.example.org:3128"): libcurl then takes http. */
    good |= host && host[0] && !strstr(address, "://");
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return good;
}

int http_proxy_take(char **out, const char *text, struct error *err)
{
    char shown[256];
    size_t n_bytes;
    *out = NULL;
    if (text[0] != '@') {
        if (!understood(text))
            return error_set(err, EX_USAGE, "--proxy: not the address of a proxy: http, https, socks4, socks4a, socks5 or socks5h and a host "
                                            "(it is not shown here: it may hold a password)");
        return (*out = mem_strdup(text, err)) ? 0 : -1;
    }
    if (io_read_file(text + 1, FILE_MAX_BYTES, out, &n_bytes, err))
        return -1;
    (*out)[strcspn(*out, "\r\n")] = 0;
    if (understood(*out))
        return 0;
    free(*out);
    *out = NULL;
    return error_set(err, EX_DATAERR, "'%s': the first line is not the address of a proxy: http, https, socks4, socks4a, socks5 or socks5h and a host",
                     text_for_people(shown, sizeof shown, text + 1));
}
