// usb_descriptors.v - what the device says of itself: USB 2.0 chapter 9, and the set by which Windows loads WinUSB.
// SPDX-License-Identifier: Apache-2.0
`default_nettype none
module usb_descriptors #(
    parameter HighSpeed = 1,
    parameter [63:0] Serial = "00000001"    // eight characters
) (
    input  wire       high_i,               // at high speed
    input  wire [7:0] type_i,               // of the descriptor; LINK_USB_MS_OS: the set for Windows
    input  wire [7:0] index_i,
    output reg        known_o,
    output reg  [7:0] length_o,
    input  wire [7:0] at_i,                 // byte
    output reg  [7:0] data_o
);
    localparam [15:0] Vendor = `LINK_USB_VENDOR, Product = `LINK_USB_PRODUCT, Version = `LINK_PROTOCOL_MAX << 8;
    localparam [7:0]  Device = 1, Config = 2, String = 3, Qualifier = 6, Other = 7, Bos = 15, MsOs = `LINK_USB_MS_OS;
    localparam [7:0]  DeviceBytes = 18, ConfigBytes = 32, QualifierBytes = 10, BosBytes = 33, SetBytes = 162;
    localparam [18*8-1:0] DeviceRom = {
        8'd18, Device, 16'h1002, 8'h00, 8'h00, 8'h00, 8'd64, Vendor[7:0], Vendor[15:8], Product[7:0], Product[15:8],
        Version[7:0], Version[15:8], 8'd1, 8'd2, 8'd3, 8'd1};
    // one interface of the vendor's class, its protocol the link's version; endpoints 1 OUT and 1 IN, bulk
    localparam [32*8-1:0] ConfigRom = {
        8'd9, Config, ConfigBytes, 8'd0, 8'd1, 8'd1, 8'd0, 8'h80, 8'd250,
        8'd9, 8'd4, 8'd0, 8'd0, 8'd2, 8'hff, 8'h00, Version[15:8], 8'd0,
        8'd7, 8'd5, 8'h01, 8'd2, 8'd64, 8'd0, 8'd0,
        8'd7, 8'd5, 8'h81, 8'd2, 8'd64, 8'd0, 8'd0};
    localparam [10*8-1:0] QualifierRom = {8'd10, Qualifier, 16'h1002, 8'h00, 8'h00, 8'h00, 8'd64, 8'd1, 8'd0};
    // USB 2.0 extension without link power management is left out; the one capability is MS OS 2.0's
    localparam [33*8-1:0] BosRom = {
        8'd5, Bos, 8'd33, 8'd0, 8'd1,
        8'd28, 8'h10, 8'd5, 8'd0, 128'hDF60DDD8_8945_C74C_9CD2_659D9E648A9F,
        32'h00000306, SetBytes, 8'd0, MsOs, 8'd0};
    localparam [38*8-1:0] SetRom = {
        16'h0A00, 16'h0000, 32'h00000306, SetBytes, 8'd0,
        16'h1400, 16'h0300, "WINUSB", 16'd0, 64'd0,
        8'd132, 8'd0, 16'h0400, 16'h0700, 8'd42, 8'd0};
    localparam [20*8-1:0] NameText = "DeviceInterfaceGUIDs";
    localparam [38*8-1:0] GuidText = "{7C0A52B4-6D8C-4E4E-9B65-0D1C5A3E9F17}";
    localparam [8*8-1:0]  MakerText = "libaccel";
    localparam [11*8-1:0] ProductText = "accelerator";

    // strings are twice as wide as their characters
    wire [7:0] text_at = {1'b0, at_i[7:1]} - 8'd1;
    wire [7:0] maker   = text_at < 8'd8 ? MakerText[8*(8'd7-text_at)+:8] : 8'd0;
    wire [7:0] product = text_at < 8'd11 ? ProductText[8*(8'd10-text_at)+:8] : 8'd0;
    wire [7:0] serial  = text_at < 8'd8 ? Serial[8*(8'd7-text_at)+:8] : 8'd0;
    wire [7:0] letter  = index_i == 8'd1 ? maker : index_i == 8'd2 ? product : serial;
    wire [7:0] text_length = index_i == 8'd2 ? 8'd24 : 8'd18;
    wire [7:0] text    = index_i == 8'd0 ? (at_i == 8'd2 ? 8'h09 : 8'h04) : at_i[0] ? 8'd0 : letter;

    wire [7:0] name_at = at_i - 8'd38;
    wire [7:0] guid_at = at_i - 8'd82;
    wire [7:0] name    = name_at < 8'd40 && !name_at[0] ? NameText[8*(8'd19-{1'b0, name_at[7:1]})+:8] : 8'd0;
    wire [7:0] guid    = guid_at < 8'd76 && !guid_at[0] ? GuidText[8*(8'd37-{1'b0, guid_at[7:1]})+:8] : 8'd0;
    // 38 bytes, the name, two bytes that say how long the value is, the value
    wire [7:0] set     = at_i < 8'd38 ? SetRom[8*(8'd37-at_i)+:8] : at_i < 8'd80 ? name : at_i == 8'd80 ? 8'd80 :
                         at_i == 8'd81 ? 8'd0 : guid;

    wire       wide    = type_i == Config ? high_i : !high_i;       // Other: what holds at the other speed
    wire [7:0] config_byte = ConfigRom[8*(8'd31-at_i)+:8];
    wire       low     = at_i == 8'd22 || at_i == 8'd29;
    wire       upper   = at_i == 8'd23 || at_i == 8'd30;
    always @* begin
        known_o  = 1'b1;
        length_o = 8'd0;
        data_o   = 8'd0;
        case (type_i)
            Device: begin
                known_o  = index_i == 8'd0;
                length_o = DeviceBytes;
                data_o   = DeviceRom[8*(8'd17-at_i)+:8];
            end
            Config, Other: begin
                known_o  = index_i == 8'd0 && (type_i == Config || HighSpeed != 0);
                length_o = ConfigBytes;
                data_o   = at_i == 8'd1 ? type_i : wide && low ? 8'd0 : wide && upper ? 8'd2 : config_byte;
            end
            String: begin
                known_o  = index_i < 8'd4;
                length_o = index_i == 8'd0 ? 8'd4 : text_length;
                data_o   = at_i == 8'd0 ? length_o : at_i == 8'd1 ? String : text;
            end
            Qualifier: begin
                known_o  = HighSpeed != 0;
                length_o = QualifierBytes;
                data_o   = QualifierRom[8*(8'd9-at_i)+:8];
            end
            Bos: begin
                length_o = BosBytes;
                data_o   = BosRom[8*(8'd32-at_i)+:8];
            end
            MsOs: begin
                length_o = SetBytes;
                data_o   = set;
            end
            default: known_o = 1'b0;
        endcase
    end
endmodule
`default_nettype wire
