# install, dist, deb: included by the Makefile.
libexec = $(prefix)/libexec/winnow
share = $(prefix)/share/winnow
man1 = $(prefix)/share/man/man1
man5 = $(prefix)/share/man/man5
INSTALL ?= install

.PHONY: install uninstall dist deb completions
##@ Build
completions: $(BUILD)/completions/winnow.bash $(BUILD)/completions/_winnow
$(BUILD)/completions/winnow.bash $(BUILD)/completions/_winnow &: tools/completions $(PROGRAMS)
	@mkdir -p $(@D)
	tools/completions $(BIN) $(BUILD)/completions

## install: install under prefix=/usr/local, below DESTDIR if set
install: all completions
	$(INSTALL) -d $(DESTDIR)$(prefix)/bin $(DESTDIR)$(libexec) $(DESTDIR)$(share) $(DESTDIR)$(man1) $(DESTDIR)$(man5) \
	  $(DESTDIR)$(prefix)/share/bash-completion/completions $(DESTDIR)$(prefix)/share/zsh/site-functions $(DESTDIR)$(prefix)/share/doc/winnow
	$(INSTALL) $(BIN)/winnow $(DESTDIR)$(prefix)/bin/winnow
	$(INSTALL) $(filter-out $(BIN)/winnow,$(PROGRAMS)) $(PLUGINS) tools/run $(DESTDIR)$(libexec)/
	cp -r pipelines $(DESTDIR)$(share)/
	rm -rf $(DESTDIR)$(share)/pipelines/demo $(DESTDIR)$(share)/pipelines/demo.conf
	if test -d web; then cp -r web $(DESTDIR)$(share)/; fi
	for f in tfjs/dist/tf.min.js tfjs-backend-wasm/dist/tf-backend-wasm.min.js tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm \
	  tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm; do \
	  from=build/npm/node_modules/@tensorflow/$$f; \
	  if test -f $$from; then $(INSTALL) -D -m 644 $$from $(DESTDIR)$(share)/node_modules/@tensorflow/$$f; fi; done
	$(INSTALL) -m 644 docs/man/winnow.1 $(DESTDIR)$(man1)/winnow.1
	for s in $(STAGES); do $(INSTALL) -m 644 stages/$$s/$$s.1 $(DESTDIR)$(man1)/winnow-$$s.1; done
	for p in formats rights; do $(INSTALL) -m 644 docs/man/winnow-$$p.5 $(DESTDIR)$(man5)/winnow-$$p.5; done
	$(INSTALL) -m 644 $(BUILD)/completions/winnow.bash $(DESTDIR)$(prefix)/share/bash-completion/completions/winnow
	$(INSTALL) -m 644 $(BUILD)/completions/_winnow $(DESTDIR)$(prefix)/share/zsh/site-functions/_winnow
	$(INSTALL) -m 644 README.md LICENSE CONTRIBUTING.md NOTES.md $(DESTDIR)$(prefix)/share/doc/winnow/
	cp -r docs $(DESTDIR)$(prefix)/share/doc/winnow/
## uninstall: remove what install put under prefix
uninstall:
	rm -rf $(DESTDIR)$(prefix)/bin/winnow $(DESTDIR)$(libexec) $(DESTDIR)$(share) $(DESTDIR)$(man1)/winnow.1 \
	  $(DESTDIR)$(man1)/winnow-*.1 $(DESTDIR)$(man5)/winnow-formats.5 $(DESTDIR)$(man5)/winnow-rights.5 $(DESTDIR)$(prefix)/share/doc/winnow \
	  $(DESTDIR)$(prefix)/share/bash-completion/completions/winnow $(DESTDIR)$(prefix)/share/zsh/site-functions/_winnow

## dist: write dist/winnow-VERSION.tar.gz of the last commit
dist:
	@mkdir -p dist
	git archive --prefix=winnow-$(VERSION)/ -o dist/winnow-$(VERSION).tar.gz HEAD

# The shared libraries' packages become its dependencies.
## deb: write a Debian package of what is built here
deb: all
	tools/deb $(BUILD) $(VERSION)
