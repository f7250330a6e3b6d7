NEEDS.stage/mine-errors := base io cli hash manifest metric page vector
# The sources of the review page are read by the assembler (.incbin in review_page_parts.c).
$(BUILD)/stages/mine-errors/review_page_parts.o: web/review/review.html web/review/review.css web/review/review.js
