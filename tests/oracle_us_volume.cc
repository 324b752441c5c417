// Whether DCMTK's own rules for the modules and functional groups of an Enhanced
// US Volume (PS3.3 A.59) are kept by a file: prints what is not, one a line. The
// independent judge of the writer's tests.
#include "dcmtk/config/osconfig.h"

#include "dcmtk/dcmdata/dctk.h"
#include "dcmtk/dcmfg/fginterface.h"
#include "dcmtk/dcmiod/iodutil.h"
#include "dcmtk/dcmiod/modacquisitioncontext.h"
#include "dcmtk/dcmiod/modenhequipment.h"
#include "dcmtk/dcmiod/modenhusimage.h"
#include "dcmtk/dcmiod/modenhusseries.h"
#include "dcmtk/dcmiod/modequipment.h"
#include "dcmtk/dcmiod/modfor.h"
#include "dcmtk/dcmiod/modgeneralimage.h"
#include "dcmtk/dcmiod/modgeneralseries.h"
#include "dcmtk/dcmiod/modgeneralstudy.h"
#include "dcmtk/dcmiod/modmultiframedimension.h"
#include "dcmtk/dcmiod/modmultiframefg.h"
#include "dcmtk/dcmiod/modpatient.h"
#include "dcmtk/dcmiod/modsopcommon.h"
#include "dcmtk/dcmiod/modsynchronisation.h"
#include "dcmtk/dcmiod/modusfor.h"
#include <cstdio>

static int problems = 0;

static void report(const char *where, const char *what) {
    std::printf("%s: %s\n", where, what);
    problems++;
}

// Every mandatory attribute of a module is there and has as many values as it should.
template <class Module> static void judge(DcmDataset &data) {
    Module module;
    OFshared_ptr<IODRules> rules = module.getRules();
    OFCondition read = module.read(data);
    if (read.bad()) report(module.getName().c_str(), read.text());
    OFVector<IODRule *> all = rules->getByModule(module.getName());
    for (size_t i = 0; i < all.size(); i++) {
        DcmElement *element = NULL;
        DcmTag tag(all[i]->getTagKey());
        bool there = data.findAndGetElement(tag, element).good();
        OFString type = all[i]->getType();
        if (!there && (type == "1" || type == "2")) report(tag.getTagName(), "is missing");
        if (!there) continue;
        OFCondition fits = DcmIODUtil::checkElementValue(*element, all[i]->getVM(), type, EC_Normal,
                                                         module.getName().c_str());
        if (fits.bad()) report(tag.getTagName(), fits.text());
    }
}

static void judge_groups(DcmDataset &data) {
    static const DcmFGTypes::E_FGType mandatory[] = {
        DcmFGTypes::EFG_FRAMECONTENT,       DcmFGTypes::EFG_PIXELMEASURES,
        DcmFGTypes::EFG_PLANEPOSPATIENT,    DcmFGTypes::EFG_PLANEORIENTPATIENT,
        DcmFGTypes::EFG_FRAMEVOILUTMETA,    DcmFGTypes::EFG_PLANEPOSITIONVOLUME,
        DcmFGTypes::EFG_PLANEORIENTVOLUME,  DcmFGTypes::EFG_IMAGEDATATYPE,
        DcmFGTypes::EFG_USIMAGEDESCRIPTION,
    };
    FGInterface groups;
    OFCondition read = groups.read(data);
    if (read.bad()) report("functional groups", read.text());
    if (!groups.check()) report("functional groups", "are not consistent");
    for (size_t f = 0; f < groups.getNumberOfFrames(); f++)
        for (size_t i = 0; i < sizeof mandatory / sizeof *mandatory; i++) {
            FGBase *group = groups.get(f, mandatory[i]);
            OFString name = DcmFGTypes::FGType2OFString(mandatory[i]);
            if (!group)
                report(name.c_str(), "is missing");
            else if (group->check().bad())
                report(name.c_str(), group->check().text());
        }
}

int main(int argc, char **argv) {
    DcmFileFormat file;
    if (argc != 2 || file.loadFile(argv[1]).bad()) {
        std::printf("cannot be read\n");
        return 1;
    }
    DcmDataset &data = *file.getDataset();
    judge<IODPatientModule>(data);
    judge<IODGeneralStudyModule>(data);
    judge<IODGeneralSeriesModule>(data);
    judge<IODEnhancedUSSeriesModule>(data);
    judge<IODFoRModule>(data);
    judge<IODUSFoRModule>(data);
    judge<IODSynchronizationModule>(data);
    judge<IODGeneralEquipmentModule>(data);
    judge<IODEnhGeneralEquipmentModule>(data);
    judge<IODMultiFrameFGModule>(data);
    judge<IODMultiframeDimensionModule>(data);
    judge<IODAcquisitionContextModule>(data);
    judge<IODEnhUSImageModule>(data);
    judge<IODSOPCommonModule>(data);
    judge_groups(data);
    return problems > 0;
}
