// What Open CASCADE makes of a STEP file, in one line: the independent judge of
// the writer's tests. Healing of orientations is switched off through a resource
// folder, since by default the reader mends what it should report.
#include <BRepBndLib.hxx>
#include <BRepCheck_Analyzer.hxx>
#include <BRepGProp.hxx>
#include <BRep_Tool.hxx>
#include <Bnd_Box.hxx>
#include <GProp_GProps.hxx>
#include <Interface_Static.hxx>
#include <Message.hxx>
#include <Message_Messenger.hxx>
#include <STEPCAFControl_Reader.hxx>
#include <ShapeAnalysis_FreeBounds.hxx>
#include <TCollection_AsciiString.hxx>
#include <TDF_LabelSequence.hxx>
#include <TDataStd_Name.hxx>
#include <TDocStd_Document.hxx>
#include <TopExp.hxx>
#include <TopExp_Explorer.hxx>
#include <TopTools_IndexedDataMapOfShapeListOfShape.hxx>
#include <TopTools_IndexedMapOfShape.hxx>
#include <TopoDS.hxx>
#include <XCAFDoc_DocumentTool.hxx>
#include <XCAFDoc_ShapeTool.hxx>
#include <cstdio>
#include <ctime>

static int count(const TopoDS_Shape &shape, TopAbs_ShapeEnum kind) {
    TopTools_IndexedMapOfShape map;
    TopExp::MapShapes(shape, kind, map);
    return map.Extent();
}

static int free_edges(const TopoDS_Shape &shape) {
    TopTools_IndexedDataMapOfShapeListOfShape map;
    TopExp::MapShapesAndAncestors(shape, TopAbs_EDGE, TopAbs_FACE, map);
    int free = 0;
    for (int i = 1; i <= map.Extent(); i++) free += map(i).Extent() == 1;
    return free;
}

static double max_tolerance(const TopoDS_Shape &shape) {
    double most = 0;
    for (TopExp_Explorer e(shape, TopAbs_EDGE); e.More(); e.Next())
        most = std::max(most, BRep_Tool::Tolerance(TopoDS::Edge(e.Current())));
    for (TopExp_Explorer e(shape, TopAbs_VERTEX); e.More(); e.Next())
        most = std::max(most, BRep_Tool::Tolerance(TopoDS::Vertex(e.Current())));
    return most;
}

static void print_name(const TDF_Label &label) {
    Handle(TDataStd_Name) name;
    if (!label.FindAttribute(TDataStd_Name::GetID(), name)) return;
    TCollection_AsciiString text(name->Get(), '\0');
    std::printf(" name=\"");
    std::fwrite(text.ToCString(), 1, (size_t)text.Length(), stdout);
    std::printf("\"");
}

// Of this process: other programs on the machine do not count.
static double processor_s() {
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    Message::DefaultMessenger()->ChangePrinters().Clear();
    Handle(TDocStd_Document) document = new TDocStd_Document("XmlXCAF");
    STEPCAFControl_Reader reader;
    reader.SetNameMode(true);
    reader.SetPropsMode(true);
    double start = processor_s();
    bool parsed = reader.ReadFile(argv[1]) == IFSelect_RetDone;
    double parse_s = processor_s() - start;
    if (!parsed || !reader.Transfer(document)) {
        std::printf("unreadable\n");
        return 1;
    }
    double read_s = processor_s() - start;
    Handle(XCAFDoc_ShapeTool) tool = XCAFDoc_DocumentTool::ShapeTool(document->Main());
    TDF_LabelSequence roots;
    tool->GetFreeShapes(roots);
    if (roots.Length() != 1) {
        std::printf("roots=%d\n", roots.Length());
        return 1;
    }
    TopoDS_Shape shape = tool->GetShape(roots.Value(1));
    GProp_GProps volume, area;
    BRepGProp::VolumeProperties(shape, volume);
    BRepGProp::SurfaceProperties(shape, area);
    Bnd_Box box;
    BRepBndLib::AddOptimal(shape, box, false, false);
    double x0, y0, z0, x1, y1, z1;
    box.Get(x0, y0, z0, x1, y1, z1);
    std::printf("solids=%d shells=%d faces=%d edges=%d vertices=%d free=%d valid=%d "
                "tolerance=%.3g volume=%.9g area=%.9g size=%.6g,%.6g,%.6g",
                count(shape, TopAbs_SOLID), count(shape, TopAbs_SHELL), count(shape, TopAbs_FACE),
                count(shape, TopAbs_EDGE), count(shape, TopAbs_VERTEX), free_edges(shape),
                BRepCheck_Analyzer(shape).IsValid() ? 1 : 0, max_tolerance(shape), volume.Mass(),
                area.Mass(), x1 - x0, y1 - y0, z1 - z0);
    print_name(roots.Value(1));
    std::printf(" parse_s=%.3f read_s=%.3f all_s=%.3f\n", parse_s, read_s, processor_s() - start);
    return 0;
}
