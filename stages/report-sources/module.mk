NEEDS.stage/report-sources := base io cli manifest page
