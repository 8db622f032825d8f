/* The texts of statuses. */
#include "recsketch.h"

const char *rsk_status_text(rsk_status status) {
    switch (status) {
    case RSK_OK: return "ok";
    case RSK_EINVAL: return "an argument is NULL or outside its range";
    case RSK_ENOMEM: return "out of memory";
    case RSK_EOVERFLOW: return "numbers of an answer are infinite or NaN";
    case RSK_EISA: return "instruction set unknown or not available here";
    case RSK_EOFFSETS: return "offsets must start at 0, never decrease, and end at the length of what they index";
    case RSK_EMODULE: return "module index out of range";
    case RSK_ELENGTH: return "attribute length differs from its module's";
    case RSK_EORDER: return "an index is out of range: an input must be an earlier object of the same trace";
    case RSK_EOUTPUT: return "a trace needs at least one output, each an object of it";
    case RSK_EWEIGHT: return "weights must be finite and non-negative, at least one of them positive";
    case RSK_EFANOUT: return "more inputs of positive weight than max_inputs";
    case RSK_EVALUE: return "a value is NaN or larger than 1e30";
    case RSK_ESIZE: return "a trace of more than 2^30 objects and inputs";
    case RSK_ESTOP: return "stopped by the caller";
    }
    return "unknown status";
}
