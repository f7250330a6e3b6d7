NEEDS.stage/audit := base io cli hash manifest metric page vector
# The sources of the page are read by the assembler (.incbin in audit_page_parts.c).
$(BUILD)/stages/audit/audit_page_parts.o: web/audit/audit.html web/audit/audit.css web/audit/audit.js
