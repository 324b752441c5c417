// The judge of OpenIGTLink: Debian's libopenigtlink (header version 1). It checks the
// sum of what it gets, unpacks it, packs it anew from what it understood, and sends that
// back: what comes back byte for byte was read and written the same by both.
//
//   oracle_igtl echo          a server; prints its port, echoes for one client
//   oracle_igtl read PORT N   a client; prints the types of N messages that it could read
//   oracle_igtl scan          a server; prints its port, sends pictures and poses
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <unistd.h>

#include <igtlBindMessage.h>
#include <igtlCapabilityMessage.h>
#include <igtlClientSocket.h>
#include <igtlColorTableMessage.h>
#include <igtlImageMessage.h>
#include <igtlImageMetaMessage.h>
#include <igtlLabelMetaMessage.h>
#include <igtlNDArrayMessage.h>
#include <igtlPointMessage.h>
#include <igtlPolyDataMessage.h>
#include <igtlPositionMessage.h>
#include <igtlQuaternionTrackingDataMessage.h>
#include <igtlSensorMessage.h>
#include <igtlServerSocket.h>
#include <igtlStatusMessage.h>
#include <igtlStringMessage.h>
#include <igtlTrackingDataMessage.h>
#include <igtlTrajectoryMessage.h>
#include <igtlTransformMessage.h>

namespace {

template <class T> igtl::MessageBase::Pointer make() {
    typename T::Pointer message = T::New();
    return message.GetPointer();
}

typedef igtl::MessageBase::Pointer (*maker)();

const std::map<std::string, maker> makers = {
    {"TRANSFORM", make<igtl::TransformMessage>},
    {"POSITION", make<igtl::PositionMessage>},
    {"IMAGE", make<igtl::ImageMessage>},
    {"STATUS", make<igtl::StatusMessage>},
    {"STRING", make<igtl::StringMessage>},
    {"TDATA", make<igtl::TrackingDataMessage>},
    {"QTDATA", make<igtl::QuaternionTrackingDataMessage>},
    {"STT_TDATA", make<igtl::StartTrackingDataMessage>},
    {"SENSOR", make<igtl::SensorMessage>},
    {"POINT", make<igtl::PointMessage>},
    {"POLYDATA", make<igtl::PolyDataMessage>},
    {"NDARRAY", make<igtl::NDArrayMessage>},
    {"CAPABILITY", make<igtl::CapabilityMessage>},
};

// The next message, unpacked; null at the end, or for what it cannot read.
igtl::MessageBase::Pointer receive(igtl::Socket *socket, std::string *type) {
    igtl::MessageHeader::Pointer header = igtl::MessageHeader::New();
    header->InitPack();
    if (socket->Receive(header->GetPackPointer(), header->GetPackSize()) != header->GetPackSize())
        return nullptr;
    header->Unpack();
    *type = header->GetDeviceType();
    auto found = makers.find(*type);
    if (found == makers.end()) {
        socket->Skip(header->GetBodySizeToRead(), 0);
        return nullptr;
    }
    igtl::MessageBase::Pointer message = found->second();
    message->SetMessageHeader(header);
    message->AllocatePack();
    int size = message->GetPackBodySize();
    if (socket->Receive(message->GetPackBodyPointer(), size) != size) return nullptr;
    if (!(message->Unpack(1) & igtl::MessageHeader::UNPACK_BODY)) return nullptr;
    return message;
}

igtl::ClientSocket::Pointer accept_one(igtl::ServerSocket *server) {
    // Any port: the library's own creation takes 0 as it is.
    if (server->CreateServer(0) < 0) return nullptr;
    std::printf("%d\n", server->GetServerPort());
    std::fflush(stdout);
    return server->WaitForConnection(10000);
}

int echo() {
    igtl::ServerSocket::Pointer server = igtl::ServerSocket::New();
    igtl::ClientSocket::Pointer client = accept_one(server);
    if (client.IsNull()) return 1;
    for (;;) {
        std::string type;
        igtl::MessageBase::Pointer message = receive(client, &type);
        if (message.IsNull()) return type.empty() ? 0 : 2;
        message->Pack();
        if (!client->Send(message->GetPackPointer(), message->GetPackSize())) return 3;
    }
}

int read(int port, int count) {
    igtl::ClientSocket::Pointer client = igtl::ClientSocket::New();
    if (client->ConnectToServer("127.0.0.1", port) != 0) return 1;
    client->SetReceiveTimeout(5000);
    for (int i = 0; i < count; i++) {
        std::string type;
        igtl::MessageBase::Pointer message = receive(client, &type);
        std::printf("%s %s\n", type.c_str(), message.IsNull() ? "unreadable" : "ok");
    }
    return 0;
}

int scan() {
    igtl::ServerSocket::Pointer server = igtl::ServerSocket::New();
    igtl::ClientSocket::Pointer client = accept_one(server);
    for (int f = 0; client.IsNotNull() && f < 40; f++) {
        igtl::TimeStamp::Pointer time = igtl::TimeStamp::New();
        time->SetTime(1000.0 + 0.05 * f);
        igtl::ImageMessage::Pointer image = igtl::ImageMessage::New();
        image->SetDimensions(5, 4, 1);
        image->SetSpacing(0.5f, 0.25f, 1);
        image->SetScalarTypeToUint8();
        image->SetDeviceName("Image_Image");
        image->SetTimeStamp(time);
        image->AllocateScalars();
        for (int i = 0; i < 20; i++)
            static_cast<unsigned char *>(image->GetScalarPointer())[i] =
                static_cast<unsigned char>(f + i);
        igtl::Matrix4x4 matrix = {
            {0, -1, 0, 10}, {1, 0, 0, 20}, {0, 0, 1, static_cast<float>(f)}, {0, 0, 0, 1}};
        igtl::TransformMessage::Pointer pose = igtl::TransformMessage::New();
        pose->SetDeviceName("ProbeToTracker");
        pose->SetMatrix(matrix);
        pose->SetTimeStamp(time);
        image->Pack();
        pose->Pack();
        if (!client->Send(image->GetPackPointer(), image->GetPackSize()) ||
            !client->Send(pose->GetPackPointer(), pose->GetPackSize()))
            break;
        usleep(20000);
    }
    return 0;
}

} // namespace

int main(int argc, char **argv) {
    std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "echo") return echo();
    if (mode == "scan") return scan();
    if (mode == "read" && argc == 4) return read(std::atoi(argv[2]), std::atoi(argv[3]));
    return 64;
}
