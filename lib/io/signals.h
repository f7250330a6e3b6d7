/* signals.h: removes temporary files when a signal ends the program, and lets long runs stop cleanly. */
#ifndef WINNOW_IO_SIGNALS_H
#define WINNOW_IO_SIGNALS_H

#include <stdbool.h>

/* Remember and forget files to unlink when a signal ends the process. cleanup_remember returns a slot, or -1
 * when the table is full. */
int cleanup_remember(const char *path);
void cleanup_forget(int slot);

/* Installs handlers for short programs: INT, TERM, HUP and PIPE unlink the remembered files and end the
 * process by the same signal. */
void signals_short_stage(void);

/* Installs handlers for long programs: the first INT, TERM or HUP only requests the run to stop, and a second
 * one ends it as above. PIPE ends it at once. signals_also_stop adds a signal that requests the run to stop
 * (mpirun passes USR1 on). */
void signals_long_stage(void);
void signals_also_stop(int signal_number);
int signals_asked_to_stop(void); /* number of the signal that requested a stop, or 0 */
int signals_sender(void);        /* the process that sent it, 0 when that is not known */

/* Holds INT, TERM, HUP and PIPE back from the calling thread (true), or lets them through again (false): for
 * two steps that belong together, in a program of one thread. */
void signals_hold(bool hold);

/* Unlinks the remembered files, and ends the process by the default action of the signal. */
void signals_reraise(int signal_number) __attribute__((noreturn));

#endif
