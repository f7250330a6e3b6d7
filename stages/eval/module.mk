NEEDS.stage/eval := cli manifest metric model net shard image page store
# Read by the assembler (.incbin).
$(BUILD)/stages/eval/report_page.o: stages/eval/report.css
$(BUILD)/stages/eval/views.o: stages/eval/default-views.txt
