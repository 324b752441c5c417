// DCMTK behind the plain functions of dicom_shim.h.
//
// DCMTK parses, keeps large values in the file, and decodes RLE, JPEG and
// JPEG-LS frame by frame. What it does not do itself is done here: its parser
// calls itself for each nested sequence without a limit, so the stream that it
// reads from watches the stack and ends early; a deflated data set would lie in
// memory whole, so it is inflated into a nameless file first.
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmdata/dcfcache.h>
#include <dcmtk/dcmdata/dcfilefo.h>
#include <dcmtk/dcmdata/dcistrmf.h>
#include <dcmtk/dcmdata/dcmetinf.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dcsequen.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/oflog/oflog.h>

#include "dicom_inflate.h"
#include "dicom_shim.h"

namespace {

enum : long {
    stack_limit = 1 << 20,   // bytes of stack that the parser may use
    read_limit = 24 << 20,   // pieces that it may read: two or three an element
    value_limit = 64 << 20,  // bytes of a value that is looked at
    fragment_limit = 1 << 22 // pieces of encapsulated pixel data
};

const char deflated_syntax[] = "1.2.840.10008.1.2.1.99";

// A file that seems to end where the parser goes too deep or on for too long.
class watched_stream final : public DcmInputFileStream {
  public:
    explicit watched_stream(const char *path)
        : DcmInputFileStream(path), base_(reinterpret_cast<uintptr_t>(__builtin_frame_address(0))) {
    }
    const char *trouble() const { return trouble_; }

    offile_off_t read(void *bytes, offile_off_t length) override {
        watch();
        return trouble_ ? 0 : DcmInputFileStream::read(bytes, length);
    }
    OFBool good() const override { return !trouble_ && DcmInputFileStream::good(); }
    OFCondition status() const override {
        return trouble_ ? OFCondition(EC_InvalidStream) : DcmInputFileStream::status();
    }
    OFBool eos() override { return trouble_ || DcmInputFileStream::eos(); }
    offile_off_t avail() override { return trouble_ ? 0 : DcmInputFileStream::avail(); }

  private:
    void watch() {
        const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
        const uintptr_t used = here < base_ ? base_ - here : here - base_;
        if (used > static_cast<uintptr_t>(stack_limit))
            trouble_ = "its sequences are nested too deep";
        if (++reads_ > read_limit) trouble_ = "it has millions of elements";
    }
    uintptr_t base_;
    long reads_ = 0;
    const char *trouble_ = nullptr;
};

} // namespace

struct es_dicom {
    DcmFileFormat file;
    std::string path, syntax;
    FILE *inflated = nullptr; // the nameless file of a deflated data set
    DcmPixelData *pixels = nullptr;
    DcmPixelSequence *fragments = nullptr; // of encapsulated pixels
    std::vector<Uint32> starts;            // first fragment of each stream
    DcmFileCache cache;

    es_dicom() = default;
    es_dicom(const es_dicom &) = delete;
    es_dicom &operator=(const es_dicom &) = delete;
    ~es_dicom() {
        file.clear(); // lets go of the nameless file
        if (inflated) fclose(inflated);
    }
    DcmDataset *data() const { return const_cast<DcmFileFormat &>(file).getDataset(); }
};

namespace {

bool start_library(es_error *err) {
    static std::once_flag once;
    std::call_once(once, [] {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        // Colours are told apart and converted by us: what a stream holds is
        // not always what its data set says.
        DJDecoderRegistration::registerCodecs(EDC_never, EUC_default, EPC_colorByPixel);
        DJLSDecoderRegistration::registerCodecs(EJLSUC_default, EJLSPC_colorByPixel);
        DcmRLEDecoderRegistration::registerCodecs();
    });
    if (dcmDataDict.isDictionaryLoaded()) return true;
    return es_fail(err, ES_IO,
                   "DICOM files cannot be read here: DCMTK finds no data dictionary; install its "
                   "package whole (libdcmtk17), or let DCMDICTPATH name its dicom.dic");
}

// Runs `work` and turns whatever it throws into an error.
template <typename Work> auto guarded(es_error *err, Work work) -> decltype(work()) {
    try {
        return work();
    } catch (const std::bad_alloc &) {
        es_fail(err, ES_MEMORY, "out of memory");
    } catch (...) {
        es_fail(err, ES_FORMAT, "the DICOM library stopped on it");
    }
    return {};
}

// ---- opening ------------------------------------------------------------------

bool refuse(const watched_stream &stream, const OFCondition &status, es_error *err) {
    if (stream.trouble()) return es_fail(err, ES_FORMAT, "is not read: %s", stream.trouble());
    return es_fail(err, ES_FORMAT, "is no whole DICOM file (%s); it was cut off or broken",
                   status.text());
}

// Only the meta header: its transfer syntax, and where the data set starts.
bool read_meta(es_dicom *dicom, offile_off_t *end) {
    watched_stream stream(dicom->path.c_str());
    DcmMetaInfo meta;
    meta.transferInit();
    const bool ok = meta.read(stream).good();
    meta.transferEnd();
    OFString uid;
    if (!ok || meta.findAndGetOFString(DCM_TransferSyntaxUID, uid).bad()) return false;
    dicom->syntax = uid.c_str();
    *end = stream.tell();
    return true;
}

bool read_data(es_dicom *dicom, const char *path, bool plain, es_error *err) {
    watched_stream stream(path);
    OFCondition status = stream.status();
    if (status.good()) {
        DcmObject &part = plain ? static_cast<DcmObject &>(*dicom->data()) : dicom->file;
        part.transferInit();
        status = part.read(stream, plain ? EXS_LittleEndianExplicit : EXS_Unknown);
        part.transferEnd();
    }
    return (status.good() && !stream.trouble()) || refuse(stream, status, err);
}

bool read_deflated(es_dicom *dicom, offile_off_t from, es_error *err) {
    dicom->inflated = es_dicom_inflate(dicom->path.c_str(), from, err);
    if (!dicom->inflated) return false;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(dicom->inflated));
    return read_data(dicom, path, true, err);
}

// The first fragment of each stream: by the offset table, else one a frame,
// else all for a single frame.
bool find_streams(es_dicom *dicom, es_error *err) {
    const auto pieces = static_cast<long>(dicom->fragments->card()) - 1;
    if (pieces < 1 || pieces > fragment_limit)
        return es_fail(err, ES_FORMAT, "its pixel data have %ld fragments; expected 1 to %ld",
                       pieces, static_cast<long>(fragment_limit));
    double frames = 1;
    es_dicom_numbers(dicom, "0028,0008", &frames, 1);
    DcmPixelItem *table = nullptr, *piece = nullptr;
    Uint8 *bytes = nullptr;
    if (dicom->fragments->getItem(table, 0).bad())
        return es_fail(err, ES_FORMAT, "its offset table cannot be read");
    const Uint32 entries = table->getLength() / 4;
    if (frames == 1) {
        dicom->starts = {1};
    } else if (entries == 0 || static_cast<double>(pieces) == frames) {
        for (long i = 1; i <= pieces; i++) dicom->starts.push_back(static_cast<Uint32>(i));
    } else if (table->getUint8Array(bytes).good() && bytes) {
        Uint64 offset = 0;
        Uint32 entry = 0;
        for (long i = 1; i <= pieces && entry < entries; i++) {
            if (dicom->fragments->getItem(piece, static_cast<unsigned long>(i)).bad()) break;
            const Uint8 *at = bytes + 4 * static_cast<size_t>(entry);
            const Uint64 told = at[0] | at[1] << 8 | at[2] << 16 | static_cast<Uint64>(at[3]) << 24;
            if (offset == told) {
                dicom->starts.push_back(static_cast<Uint32>(i));
                entry++;
            }
            offset += Uint64{piece->getLength()} + 8;
        }
    }
    return true;
}

bool find_pixels(es_dicom *dicom, es_error *err) {
    DcmElement *element = nullptr;
    if (dicom->data()->findAndGetElement(DCM_PixelData, element).bad()) return true;
    dicom->pixels = dynamic_cast<DcmPixelData *>(element);
    if (!dicom->pixels) return true;
    E_TransferSyntax syntax = EXS_Unknown;
    const DcmRepresentationParameter *parameter = nullptr;
    dicom->pixels->getOriginalRepresentationKey(syntax, parameter);
    if (!DcmXfer(syntax).isEncapsulated()) return true;
    if (dicom->pixels->getEncapsulatedRepresentation(syntax, parameter, dicom->fragments).bad() ||
        !dicom->fragments)
        return es_fail(err, ES_FORMAT, "its encapsulated pixel data cannot be read");
    return find_streams(dicom, err);
}

bool load(es_dicom *dicom, es_error *err) {
    offile_off_t end = 0;
    const bool deflated = read_meta(dicom, &end) && dicom->syntax == deflated_syntax;
    if (deflated ? !read_deflated(dicom, end, err)
                 : !read_data(dicom, dicom->path.c_str(), false, err))
        return false;
    if (dicom->syntax.empty())
        dicom->syntax = DcmXfer(dicom->data()->getOriginalXfer()).getXferID();
    return find_pixels(dicom, err);
}

// ---- attributes -----------------------------------------------------------------

bool parse_key(const char *&at, DcmTagKey &key) {
    char *end = nullptr;
    const unsigned long group = strtoul(at, &end, 16);
    if (*end != ',') return false;
    const unsigned long element = strtoul(end + 1, &end, 16);
    at = end;
    key.set(static_cast<Uint16>(group), static_cast<Uint16>(element));
    return true;
}

DcmElement *find(const es_dicom *dicom, const char *path) {
    auto &file = const_cast<DcmFileFormat &>(dicom->file);
    const bool meta = strncmp(path, "0002,", 5) == 0;
    DcmItem *item = meta ? static_cast<DcmItem *>(file.getMetaInfo()) : file.getDataset();
    DcmTagKey key;
    for (const char *at = path; item && parse_key(at, key);) {
        if (*at != '[') {
            DcmElement *element = nullptr;
            return item->findAndGetElement(key, element).good() ? element : nullptr;
        }
        char *end = nullptr;
        const long index = strtol(at + 1, &end, 10);
        DcmItem *inner = nullptr;
        if (item->findAndGetSequenceItem(key, inner, index).bad()) return nullptr;
        item = inner;
        at = end + 2; // "]/"
    }
    return nullptr;
}

// The value as text; empty when there is none.
OFString value_of(const es_dicom *dicom, const char *path) {
    OFString text;
    DcmElement *element = find(dicom, path);
    if (!element || !element->isLeaf() || element->getLengthField() > Uint32{value_limit} ||
        element->getOFStringArray(text).bad())
        text.clear();
    size_t first = 0, last = text.length();
    while (first < last && (text[first] == ' ' || text[first] == '\0')) first++;
    while (last > first && (text[last - 1] == ' ' || text[last - 1] == '\0')) last--;
    return text.substr(first, last - first);
}

OFCondition decode(es_dicom *dicom, Uint32 frame, void *samples, size_t bytes) {
    OFString colours;
    const Uint32 first = frame < dicom->starts.size() ? dicom->starts[frame] : 1;
    Uint32 fragment = first;
    memset(samples, 0, bytes); // a stream of fewer rows leaves the rest alone
    const OFCondition status =
        dicom->pixels->getUncompressedFrame(dicom->data(), frame, fragment, samples,
                                            static_cast<Uint32>(bytes), colours, &dicom->cache);
    // The streams that have been used go back to the file.
    DcmPixelItem *piece = nullptr;
    for (Uint32 i = first; i < fragment; i++)
        if (dicom->fragments->getItem(piece, i).good()) piece->compact();
    return status;
}

// Doubles as they are: DCMTK's own way to text and back loses the last digit.
long binary_numbers(DcmElement *element, double *values, long limit) {
    Float64 *from = nullptr;
    if (element->getLengthField() > Uint32{value_limit} || element->getFloat64Array(from).bad() ||
        !from)
        return 0;
    const auto found = static_cast<long>(element->getLength() / sizeof *from);
    memcpy(values, from, sizeof *from * static_cast<size_t>(found < limit ? found : limit));
    return found;
}

} // namespace

extern "C" {

es_dicom *es_dicom_open(const char *path, es_error *err) {
    return guarded(err, [&]() -> es_dicom * {
        if (!start_library(err)) return nullptr;
        auto *dicom = new es_dicom;
        dicom->path = path;
        bool ok = false;
        try {
            ok = load(dicom, err);
        } catch (...) {
            delete dicom;
            throw;
        }
        if (ok) return dicom;
        delete dicom;
        return nullptr;
    });
}

void es_dicom_close(es_dicom *dicom) { delete dicom; }

const char *es_dicom_syntax(const es_dicom *dicom) { return dicom->syntax.c_str(); }

bool es_dicom_is_encapsulated(const es_dicom *dicom) { return dicom->fragments != nullptr; }

bool es_dicom_text(const es_dicom *dicom, const char *path, char *text, size_t size) {
    return guarded(nullptr, [&]() -> bool {
        const OFString value = value_of(dicom, path);
        if (value.empty() || value.length() >= size) return false;
        memcpy(text, value.c_str(), value.length() + 1);
        return true;
    });
}

long es_dicom_numbers(const es_dicom *dicom, const char *path, double *values, long limit) {
    const long count = guarded(nullptr, [&]() -> long {
        DcmElement *element = find(dicom, path);
        if (element && element->ident() == EVR_FD) return binary_numbers(element, values, limit);
        const OFString value = value_of(dicom, path);
        long found = 0;
        for (size_t at = 0; at < value.length();) {
            size_t end = value.find('\\', at);
            if (end == OFString_npos) end = value.length();
            double number = 0;
            if (!es_parse_double(value.substr(at, end - at).c_str(), &number)) return 0;
            if (found < limit) values[found] = number;
            found++;
            at = end + 1;
        }
        return found;
    });
    return count > 0 ? count : -1;
}

long es_dicom_words(const es_dicom *dicom, const char *path, uint16_t *values, long limit) {
    const long count = guarded(nullptr, [&]() -> long {
        DcmElement *element = find(dicom, path);
        Uint16 *words = nullptr;
        Sint16 *shorts = nullptr;
        if (!element || element->getLengthField() > Uint32{value_limit}) return 0;
        const void *from = element->getUint16Array(words).good()    ? static_cast<void *>(words)
                           : element->getSint16Array(shorts).good() ? shorts
                                                                    : nullptr;
        const auto found = static_cast<long>(element->getLength() / 2);
        if (!from) return 0;
        memcpy(values, from, 2 * static_cast<size_t>(found < limit ? found : limit));
        return found;
    });
    return count > 0 ? count : -1;
}

long es_dicom_items(const es_dicom *dicom, const char *path) {
    return guarded(nullptr,
                   [&]() -> long {
                       auto *sequence = dynamic_cast<DcmSequenceOfItems *>(find(dicom, path));
                       return sequence ? static_cast<long>(sequence->card()) + 1 : 0;
                   }) -
           1;
}

// ---- pixels -------------------------------------------------------------------

uint64_t es_dicom_pixel_bytes(const es_dicom *dicom) {
    return dicom->pixels && !dicom->fragments
               ? guarded(nullptr, [&]() -> uint64_t { return dicom->pixels->getLength(); })
               : 0;
}

long es_dicom_streams(const es_dicom *dicom) { return static_cast<long>(dicom->starts.size()); }

bool es_dicom_frame(es_dicom *dicom, uint32_t frame, void *samples, size_t bytes, es_error *err) {
    return guarded(err, [&]() -> bool {
        OFCondition status;
        if (!dicom->fragments) {
            const uint64_t offset = uint64_t{frame} * bytes;
            status = dicom->pixels->getPartialValue(samples, static_cast<Uint32>(offset),
                                                    static_cast<Uint32>(bytes), &dicom->cache,
                                                    gLocalByteOrder);
        } else {
            status = decode(dicom, frame, samples, bytes + bytes % 2);
        }
        return status.good() || es_fail(err, ES_FORMAT, "cannot be decoded: %s", status.text());
    });
}

bool es_dicom_stream(es_dicom *dicom, uint32_t frame, size_t limit, unsigned char **bytes,
                     size_t *length, es_error *err) {
    return guarded(err, [&]() -> bool {
        const size_t streams = dicom->starts.size();
        if (frame >= streams) return es_fail(err, ES_FORMAT, "has no stream");
        const Uint32 end = frame + 1 < streams ? dicom->starts[frame + 1]
                                               : static_cast<Uint32>(dicom->fragments->card());
        *length = 0;
        *bytes = static_cast<unsigned char *>(es_alloc(0, 1, err));
        for (Uint32 i = dicom->starts[frame]; *bytes && i < end && *length < limit; i++) {
            DcmPixelItem *piece = nullptr;
            Uint8 *from = nullptr;
            if (dicom->fragments->getItem(piece, i).bad() || piece->getUint8Array(from).bad() ||
                !from)
                return es_fail(err, ES_FORMAT, "has a broken stream");
            const size_t room = limit - *length;
            const size_t take = piece->getLength() < room ? piece->getLength() : room;
            if (!es_resize(bytes, *length + take, 1, err)) return false;
            memcpy(*bytes + *length, from, take);
            *length += take;
            piece->compact();
        }
        return *bytes != nullptr;
    });
}

} // extern "C"
