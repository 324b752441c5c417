/* What is known of probes, each row with its source. Sigmas: 1 % for a radius
 * that a maker's name or a vendor's parameter file gives, 10 % for what is
 * only said from memory (never enough alone). A zero stands for unknown.
 *
 * Displayed width of a linear array: the name's, which scanners draw; the
 * pitch times the elements comes to 1 to 3 % more. */
#include "probe_table.h"

#define SONIX "MUST getparam (public copy), "
#define VERASONICS "public copies of Verasonics computeTrans; "
#define MEMORY "general knowledge, not checked"

/* name, curved, radius, its sigma, aperture, its sigma, field, pitch, elements, source */
const es_probe_entry probe_table[] = {
    {"Telemed C5-2R60S-3", true, 60, .01, 0, 0, 60, 0, 0, "maker's name rule (R60)"},
    {"Telemed C5-2R60HI", true, 60, .01, 0, 0, 60, 0, 0, "maker's name rule (R60)"},
    {"Telemed C5-1R60", true, 60, .01, 0, 0, 60, 0, 0, "maker's name rule (R60)"},
    {"Telemed MC4-2R20S-3", true, 20, .01, 0, 0, 75, 0, 0, "maker's name rule (R20)"},
    {"Telemed MC8-4R20", true, 20, .01, 0, 0, 75, 0, 0, "maker's name rule (R20)"},
    {"Telemed L12-5L40S-3", false, 0, 0, 40, .01, 0, 0, 0, "maker's name rule (L40)"},
    {"Telemed L15-7L40H-5", false, 0, 0, 40, .01, 0, 0, 0, "maker's name rule (L40)"},
    {"Telemed L18-10L30H-4", false, 0, 0, 30, .01, 0, 0, 0, "maker's name rule (L30)"},
    {"Telemed L12-5N40", false, 0, 0, 40, .02, 0, 0, 0, "maker's old name rule (N40)"},
    {"Telemed EV9-5R10", true, 10, .02, 0, 0, 150, 0, 0, "maker's name rule (R10)"},
    {"Ultrasonix L14-5/38", false, 0, 0, 38, .01, 0, .3048, 128,
     SONIX "and 38 mm measured on a recording to .03 %"},
    {"Ultrasonix L9-4/38", false, 0, 0, 38, .01, 0, .3048, 128,
     SONIX "maker's name rule; some PLUS configurations write 40"},
    {"Ultrasonix L14-5W/60", false, 0, 0, 60.4, .01, 0, .472, 128, SONIX "pitch x elements"},
    {"Ultrasonix C5-2/60", true, 60, .02, 0, 0, 56, .46, 128,
     "maker's name rule; a PLUS configuration says 50, which its own calibration contradicts"},
    {"Ultrasonix 4DC7-3/40", true, 40, .01, 0, 0, 0, 0, 0, "maker's name rule"},
    {"Ultrasonix BPC8-4/10", true, 10, .01, 0, 0, 150, 0, 0,
     "PLUS configuration RfProcessingAlgoCurvilinearTest"},
    {"Ultrasonix 4DL14-5/38", false, 0, 0, 38, .01, 0, 0, 0, "maker's name rule"},
    {"Verasonics C5-2v", true, 49.57, .01, 0, 0, 75.2, .508, 128, VERASONICS "MUST"},
    {"Verasonics C4-2", true, 41.219, .01, 0, 0, 74.95, .4246, 128, VERASONICS "ATL probe"},
    {"Verasonics L11-5v", false, 0, 0, 38.4, .01, 0, .300, 128, VERASONICS "pitch x elements"},
    {"Verasonics L12-3v", false, 0, 0, 38.4, .01, 0, .200, 192, VERASONICS "pitch x elements"},
    {"Verasonics L7-4", false, 0, 0, 38.1, .1, 0, .298, 128, MEMORY},
    {"ATL C5-2c", true, 50, .03, 0, 0, 0, .412, 128, "one public file"},
    {"GE C1-5-D", true, 62, .1, 0, 0, 70, 0, 0, MEMORY},
    {"GE 9L-D", false, 0, 0, 44, .1, 0, 0, 0, MEMORY},
    {"GE ML6-15", false, 0, 0, 50, .1, 0, 0, 0, MEMORY},
    {"Philips C5-1", true, 48, .1, 0, 0, 111, 0, 0, MEMORY},
    {"Philips L12-5 50", false, 0, 0, 50, .1, 0, 0, 0, MEMORY},
    {"Clarius C3 HD3", true, 45, .1, 0, 0, 73, 0, 0, MEMORY},
    {"Clarius L7 HD3", false, 0, 0, 38.4, .1, 0, 0, 0, MEMORY},
    {"SonoSite C60", true, 60, .1, 0, 0, 0, 0, 0, "maker's name, " MEMORY},
};
const size_t probe_table_count = sizeof probe_table / sizeof *probe_table;
