# Self-contained HTML pages: escaping, base64, content security policy.
NEEDS.page := base io
