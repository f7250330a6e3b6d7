NEEDS.stage/report-sources := base io cli manifest page $(if $(OFF.psl),,psl)
CFLAGS.stage/report-sources = $(if $(OFF.psl),-DWITHOUT_PSL)
