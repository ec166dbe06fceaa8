#include "lab/schema.h"

#include <string.h>

/* Fields are separated by blanks: "name" is a string, "name:Type" another type, "[]" an array, "@" a
 * reference to a managed object. A type that is named and not described here is an enumeration, or structure
 * that the lab leaves unset. */
static const struct {
    const char *name;
    const char *base;
    const char *fields;
} TABLE[] = {
    /* Managed objects and their properties. */
    {"ExtensibleManagedObject", NULL, ""},
    {"ManagedEntity", "ExtensibleManagedObject",
     "parent:@ManagedEntity overallStatus:ManagedEntityStatus configStatus:ManagedEntityStatus "
     "effectiveRole:int[] permission:Permission[] name disabledMethod:string[] recentTask:@Task[] "
     "alarmActionsEnabled:boolean tag:Tag[]"},
    {"VirtualMachine", "ManagedEntity",
     "capability:VirtualMachineCapability config:VirtualMachineConfigInfo "
     "layoutEx:VirtualMachineFileLayoutEx storage:VirtualMachineStorageInfo "
     "environmentBrowser:@EnvironmentBrowser resourcePool:@ResourcePool parentVApp:@ManagedEntity "
     "resourceConfig:ResourceConfigSpec runtime:VirtualMachineRuntimeInfo guest:GuestInfo "
     "summary:VirtualMachineSummary datastore:@Datastore[] network:@Network[] "
     "snapshot:VirtualMachineSnapshotInfo rootSnapshot:@VirtualMachineSnapshot[] "
     "guestHeartbeatStatus:ManagedEntityStatus"},
    {"Folder", "ManagedEntity", "childType:string[] childEntity:@ManagedEntity[]"},
    {"Datacenter", "ManagedEntity",
     "vmFolder:@Folder hostFolder:@Folder datastoreFolder:@Folder networkFolder:@Folder "
     "datastore:@Datastore[] network:@Network[] configuration:DatacenterConfigInfo"},
    {"ComputeResource", "ManagedEntity",
     "resourcePool:@ResourcePool host:@HostSystem[] datastore:@Datastore[] network:@Network[] "
     "summary:ComputeResourceSummary environmentBrowser:@EnvironmentBrowser "
     "configurationEx:ComputeResourceConfigInfo"},
    {"ClusterComputeResource", "ComputeResource",
     "configuration:ClusterConfigInfo recommendation:ClusterRecommendation[] "
     "drsRecommendation:ClusterDrsRecommendation[] hciConfig:ClusterComputeResourceHCIConfigInfo "
     "migrationHistory:ClusterDrsMigration[] actionHistory:ClusterActionHistory[] "
     "drsFault:ClusterDrsFaults[]"},
    {"HostSystem", "ManagedEntity",
     "runtime:HostRuntimeInfo summary:HostListSummary hardware:HostHardwareInfo "
     "capability:HostCapability licensableResource:HostLicensableResourceInfo "
     "remediationState:HostSystemRemediationState "
     "precheckRemediationResult:ApplyHostProfileConfigurationSpec "
     "remediationResult:ApplyHostProfileConfigurationResult "
     "complianceCheckState:HostSystemComplianceCheckState complianceCheckResult:ComplianceResult "
     "configManager:HostConfigManager config:HostConfigInfo vm:@VirtualMachine[] "
     "datastore:@Datastore[] network:@Network[] datastoreBrowser:@HostDatastoreBrowser "
     "systemResources:HostSystemResourceInfo answerFileValidationState:AnswerFileStatusResult "
     "answerFileValidationResult:AnswerFileStatusResult"},
    {"ResourcePool", "ManagedEntity",
     "summary:ResourcePoolSummary runtime:ResourcePoolRuntimeInfo owner:@ComputeResource "
     "resourcePool:@ResourcePool[] vm:@VirtualMachine[] config:ResourceConfigSpec "
     "childConfiguration:ResourceConfigSpec[]"},
    {"Datastore", "ManagedEntity",
     "info:DatastoreInfo summary:DatastoreSummary host:DatastoreHostMount[] vm:@VirtualMachine[] "
     "browser:@HostDatastoreBrowser capability:DatastoreCapability iormConfiguration:StorageIORMInfo"},
    {"Network", "ManagedEntity", "summary:NetworkSummary host:@HostSystem[] vm:@VirtualMachine[]"},
    /* The lab has none of these, but a vCenter knows the types. */
    {"StoragePod", "Folder", "summary:StoragePodSummary podStorageDrsEntry:PodStorageDrsEntry"},
    {"DistributedVirtualPortgroup", "Network", "key config:DVPortgroupConfigInfo portKeys:string[]"},
    {"OpaqueNetwork", "Network", "capability:OpaqueNetworkCapability extraConfig:OptionValue[]"},
    {"VirtualApp", "ResourcePool",
     "parentFolder:@Folder datastore:@Datastore[] network:@Network[] vAppConfig:VAppConfigInfo "
     "parentVApp:@ManagedEntity childLink:VirtualAppLinkInfo[]"},
    {"VirtualMachineSnapshot", "ExtensibleManagedObject",
     "config:VirtualMachineConfigInfo childSnapshot:@VirtualMachineSnapshot[] vm:@VirtualMachine"},
    {"Task", "ExtensibleManagedObject", "info:TaskInfo"},
    {"TaskManager", NULL, "recentTask:@Task[] description:TaskDescription maxCollector:int"},
    {"SessionManager", NULL,
     "sessionList:UserSession[] currentSession:UserSession message messageLocaleList:string[] "
     "supportedLocaleList:string[] defaultLocale"},
    {"ServiceInstance", NULL, "serverClock:dateTime capability:Capability content:ServiceContent"},
    {"View", NULL, ""},
    {"ManagedObjectView", "View", "view:@ManagedObject[]"},
    {"ContainerView", "ManagedObjectView", "container:@ManagedEntity type:string[] recursive:boolean"},
    {"ViewManager", NULL, "viewList:@View[]"},
    {"PropertyCollector", NULL, "filter:@PropertyFilter[]"},
    {"PropertyFilter", NULL, "spec:PropertyFilterSpec partialUpdates:boolean"},
    {"SearchIndex", NULL, ""},
    {"AuthorizationManager", NULL,
     "privilegeList:AuthorizationPrivilege[] roleList:AuthorizationRole[] "
     "description:AuthorizationDescription"},
    {"AuthorizationPrivilege", NULL, "privId onParent:boolean name privGroupName"},
    {"TaskInfo", NULL,
     "key task:@Task description:LocalizableMessage name descriptionId entity:@ManagedEntity "
     "entityName locked:@ManagedEntity[] state:TaskInfoState cancelled:boolean cancelable:boolean "
     "error:LocalizedMethodFault result:anyType progress:int reason:TaskReason queueTime:dateTime "
     "startTime:dateTime completeTime:dateTime eventChainId:int changeTag parentTaskKey rootTaskKey "
     "activationId"},
    {"LocalizableMessage", NULL, "key arg:KeyAnyValue[] message"},
    {"ServiceContent", NULL,
     "rootFolder:@Folder propertyCollector:@PropertyCollector viewManager:@ViewManager about:AboutInfo "
     "setting:@OptionManager userDirectory:@UserDirectory sessionManager:@SessionManager "
     "authorizationManager:@AuthorizationManager serviceManager:@ServiceManager "
     "perfManager:@PerformanceManager scheduledTaskManager:@ScheduledTaskManager "
     "alarmManager:@AlarmManager eventManager:@EventManager taskManager:@TaskManager "
     "extensionManager:@ExtensionManager customizationSpecManager:@CustomizationSpecManager "
     "customFieldsManager:@CustomFieldsManager accountManager:@HostLocalAccountManager "
     "diagnosticManager:@DiagnosticManager licenseManager:@LicenseManager searchIndex:@SearchIndex "
     "fileManager:@FileManager datastoreNamespaceManager:@DatastoreNamespaceManager "
     "virtualDiskManager:@VirtualDiskManager virtualizationManager:@VirtualizationManager "
     "snmpSystem:@HostSnmpSystem vmProvisioningChecker:@VirtualMachineProvisioningChecker "
     "vmCompatibilityChecker:@VirtualMachineCompatibilityChecker ovfManager:@OvfManager "
     "ipPoolManager:@IpPoolManager dvSwitchManager:@DistributedVirtualSwitchManager "
     "hostProfileManager:@HostProfileManager clusterProfileManager:@ClusterProfileManager "
     "complianceManager:@ProfileComplianceManager localizationManager:@LocalizationManager "
     "storageResourceManager:@StorageResourceManager guestOperationsManager:@GuestOperationsManager "
     "overheadMemoryManager:@OverheadMemoryManager certificateManager:@CertificateManager "
     "ioFilterManager:@IoFilterManager vStorageObjectManager:@VStorageObjectManagerBase "
     "hostSpecManager:@HostSpecificationManager cryptoManager:@CryptoManager "
     "healthUpdateManager:@HealthUpdateManager "
     "failoverClusterConfigurator:@FailoverClusterConfigurator "
     "failoverClusterManager:@FailoverClusterManager"},
    {"AboutInfo", NULL,
     "name fullName vendor version build localeVersion localeBuild osType productLineId apiType "
     "apiVersion instanceUuid licenseProductName licenseProductVersion"},
    {"UserSession", NULL,
     "key userName fullName loginTime:dateTime lastActiveTime:dateTime locale messageLocale "
     "extensionSession:boolean ipAddress userAgent callCount:long"},
    {"VirtualMachineConfigInfo", NULL,
     "changeVersion modified:dateTime name guestFullName version uuid createDate:dateTime instanceUuid "
     "npivNodeWorldWideName:long[] npivPortWorldWideName:long[] npivWorldWideNameType "
     "npivDesiredNodeWwns:short npivDesiredPortWwns:short npivTemporaryDisabled:boolean "
     "npivOnNonRdmDisks:boolean locationId template:boolean guestId alternateGuestName annotation "
     "files:VirtualMachineFileInfo tools:ToolsConfigInfo flags:VirtualMachineFlagInfo "
     "consolePreferences:VirtualMachineConsolePreferences "
     "defaultPowerOps:VirtualMachineDefaultPowerOpInfo hardware:VirtualHardware "
     "cpuAllocation:ResourceAllocationInfo memoryAllocation:ResourceAllocationInfo "
     "latencySensitivity:LatencySensitivity memoryHotAddEnabled:boolean cpuHotAddEnabled:boolean "
     "cpuHotRemoveEnabled:boolean hotPlugMemoryLimit:long hotPlugMemoryIncrementSize:long "
     "cpuAffinity:VirtualMachineAffinityInfo memoryAffinity:VirtualMachineAffinityInfo "
     "networkShaper:VirtualMachineNetworkShaperInfo extraConfig:OptionValue[] "
     "cpuFeatureMask:HostCpuIdInfo[] datastoreUrl:VirtualMachineConfigInfoDatastoreUrlPair[] "
     "swapPlacement bootOptions:VirtualMachineBootOptions ftInfo:FaultToleranceConfigInfo "
     "repConfig:ReplicationConfigSpec vAppConfig:VmConfigInfo vAssertsEnabled:boolean "
     "changeTrackingEnabled:boolean firmware maxMksConnections:int guestAutoLockEnabled:boolean "
     "managedBy:ManagedByInfo memoryReservationLockedToMax:boolean "
     "initialOverhead:VirtualMachineConfigInfoOverheadInfo nestedHVEnabled:boolean vPMCEnabled:boolean "
     "scheduledHardwareUpgradeInfo:ScheduledHardwareUpgradeInfo "
     "forkConfigInfo:VirtualMachineForkConfigInfo vFlashCacheReservation:long "
     "vmxConfigChecksum:base64Binary messageBusTunnelEnabled:boolean vmStorageObjectId "
     "swapStorageObjectId keyId:CryptoKeyId guestIntegrityInfo:VirtualMachineGuestIntegrityInfo "
     "migrateEncryption"},
    {"VirtualHardware", NULL,
     "numCPU:int numCoresPerSocket:int memoryMB:int virtualICH7MPresent:boolean "
     "virtualSMCPresent:boolean device:VirtualDevice[]"},
    {"VirtualMachineBootOptions", NULL,
     "bootDelay:long enterBIOSSetup:boolean efiSecureBootEnabled:boolean bootRetryEnabled:boolean "
     "bootRetryDelay:long bootOrder:VirtualMachineBootOptionsBootableDevice[] networkBootProtocol"},
    {"VirtualMachineFileInfo", NULL,
     "vmPathName snapshotDirectory suspendDirectory logDirectory ftMetadataDirectory"},
    {"VirtualMachineCapability", NULL,
     "snapshotOperationsSupported:boolean multipleSnapshotsSupported:boolean "
     "snapshotConfigSupported:boolean poweredOffSnapshotsSupported:boolean "
     "memorySnapshotsSupported:boolean revertToSnapshotSupported:boolean "
     "quiescedSnapshotsSupported:boolean disableSnapshotsSupported:boolean "
     "lockSnapshotsSupported:boolean consolePreferencesSupported:boolean "
     "cpuFeatureMaskSupported:boolean s1AcpiManagementSupported:boolean "
     "settingScreenResolutionSupported:boolean toolsAutoUpdateSupported:boolean "
     "vmNpivWwnSupported:boolean npivWwnOnNonRdmVmSupported:boolean vmNpivWwnDisableSupported:boolean "
     "vmNpivWwnUpdateSupported:boolean swapPlacementSupported:boolean toolsSyncTimeSupported:boolean "
     "virtualMmuUsageSupported:boolean diskSharesSupported:boolean bootOptionsSupported:boolean "
     "bootRetryOptionsSupported:boolean settingVideoRamSizeSupported:boolean "
     "settingDisplayTopologySupported:boolean settingDisplayTopologyModesSupported:boolean "
     "recordReplaySupported:boolean changeTrackingSupported:boolean "
     "multipleCoresPerSocketSupported:boolean hostBasedReplicationSupported:boolean "
     "guestAutoLockSupported:boolean memoryReservationLockSupported:boolean "
     "featureRequirementSupported:boolean poweredOnMonitorTypeChangeSupported:boolean "
     "vmfsNativeSnapshotSupported:boolean seSparseDiskSupported:boolean nestedHVSupported:boolean "
     "vPMCSupported:boolean toolsRebootPredictSupported:boolean messageBusSupported:boolean "
     "canConnectUSBDevices:boolean secureBootSupported:boolean perVmEvcSupported:boolean "
     "virtualMmuUsageIgnored:boolean virtualExecUsageIgnored:boolean "
     "diskOnlySnapshotOnSuspendedVMSupported:boolean"},
    {"VirtualMachineRuntimeInfo", NULL,
     "device:VirtualMachineDeviceRuntimeInfo[] host:@HostSystem "
     "connectionState:VirtualMachineConnectionState powerState:VirtualMachinePowerState "
     "faultToleranceState:VirtualMachineFaultToleranceState "
     "dasVmProtection:VirtualMachineRuntimeInfoDasProtectionState toolsInstallerMounted:boolean "
     "suspendTime:dateTime bootTime:dateTime suspendInterval:long question:VirtualMachineQuestionInfo "
     "memoryOverhead:long maxCpuUsage:int maxMemoryUsage:int numMksConnections:int "
     "recordReplayState:VirtualMachineRecordReplayState cleanPowerOff:boolean needSecondaryReason "
     "onlineStandby:boolean minRequiredEVCModeKey consolidationNeeded:boolean "
     "offlineFeatureRequirement:VirtualMachineFeatureRequirement[] "
     "featureRequirement:VirtualMachineFeatureRequirement[] featureMask:HostFeatureMask[] "
     "vFlashCacheAllocation:long paused:boolean snapshotInBackground:boolean "
     "quiescedForkParent:boolean instantCloneFrozen:boolean cryptoState"},
    {"GuestInfo", NULL,
     "toolsStatus:VirtualMachineToolsStatus toolsVersionStatus toolsVersionStatus2 toolsRunningStatus "
     "toolsVersion toolsInstallType toolsUpdateStatus:VirtualMachineToolsUpdateStatus guestId "
     "guestFamily guestFullName hostName ipAddress net:GuestNicInfo[] ipStack:GuestStackInfo[] "
     "disk:GuestDiskInfo[] screen:GuestScreenInfo guestState powerPolicy:VirtualMachinePowerPolicy "
     "appHeartbeatStatus guestKernelCrashed:boolean appState guestOperationsReady:boolean "
     "interactiveGuestOperationsReady:boolean guestStateChangeSupported:boolean "
     "generationInfo:GuestInfoNamespaceGenerationInfo[]"},
    {"VirtualMachineSummary", NULL,
     "vm:@VirtualMachine runtime:VirtualMachineRuntimeInfo guest:VirtualMachineGuestSummary "
     "config:VirtualMachineConfigSummary storage:VirtualMachineStorageSummary "
     "quickStats:VirtualMachineQuickStats overallStatus:ManagedEntityStatus "
     "customValue:CustomFieldValue[]"},
    {"VirtualMachineConfigSummary", NULL,
     "name template:boolean vmPathName memorySizeMB:int cpuReservation:int memoryReservation:int "
     "numCpu:int numEthernetCards:int numVirtualDisks:int uuid instanceUuid guestId guestFullName "
     "annotation product:VAppProductInfo installBootRequired:boolean ftInfo:FaultToleranceConfigInfo "
     "managedBy:ManagedByInfo tpmPresent:boolean numVmiopBackings:int"},
    {"VirtualMachineGuestSummary", NULL,
     "guestId guestFullName toolsStatus:VirtualMachineToolsStatus toolsVersionStatus "
     "toolsVersionStatus2 toolsRunningStatus hostName ipAddress"},
    {"VirtualMachineStorageSummary", NULL,
     "committed:long uncommitted:long unshared:long timestamp:dateTime"},
    {"VirtualMachineQuickStats", NULL,
     "overallCpuUsage:int overallCpuDemand:int guestMemoryUsage:int hostMemoryUsage:int "
     "guestHeartbeatStatus:ManagedEntityStatus distributedCpuEntitlement:int "
     "distributedMemoryEntitlement:int staticCpuEntitlement:int staticMemoryEntitlement:int "
     "privateMemory:int sharedMemory:int swappedMemory:int balloonedMemory:int "
     "consumedOverheadMemory:int ftLogBandwidth:int ftSecondaryLatency:int "
     "ftLatencyStatus:ManagedEntityStatus compressedMemory:long uptimeSeconds:int "
     "ssdSwappedMemory:long"},
    {"VirtualMachineStorageInfo", NULL,
     "perDatastoreUsage:VirtualMachineUsageOnDatastore[] timestamp:dateTime"},
    {"VirtualMachineUsageOnDatastore", NULL,
     "datastore:@Datastore committed:long uncommitted:long unshared:long"},
    {"VirtualMachineSnapshotInfo", NULL,
     "currentSnapshot:@VirtualMachineSnapshot rootSnapshotList:VirtualMachineSnapshotTree[]"},
    {"VirtualMachineSnapshotTree", NULL,
     "snapshot:@VirtualMachineSnapshot vm:@VirtualMachine name description id:int createTime:dateTime "
     "state:VirtualMachinePowerState quiesced:boolean backupManifest "
     "childSnapshotList:VirtualMachineSnapshotTree[] replaySupported:boolean"},
    {"VirtualMachineFileLayoutEx", NULL,
     "file:VirtualMachineFileLayoutExFileInfo[] disk:VirtualMachineFileLayoutExDiskLayout[] "
     "snapshot:VirtualMachineFileLayoutExSnapshotLayout[] timestamp:dateTime"},
    {"VirtualMachineFileLayoutExFileInfo", NULL,
     "key:int name type size:long uniqueSize:long backingObjectId accessible:boolean"},
    {"VirtualMachineFileLayoutExDiskLayout", NULL, "key:int chain:VirtualMachineFileLayoutExDiskUnit[]"},
    {"VirtualMachineFileLayoutExDiskUnit", NULL, "fileKey:int[]"},
    {"VirtualMachineFileLayoutExSnapshotLayout", NULL,
     "key:@VirtualMachineSnapshot dataKey:int memoryKey:int "
     "disk:VirtualMachineFileLayoutExDiskLayout[]"},
    {"VirtualMachineFlagInfo", NULL,
     "disableAcceleration:boolean enableLogging:boolean useToe:boolean runWithDebugInfo:boolean "
     "monitorType htSharing snapshotDisabled:boolean snapshotLocked:boolean diskUuidEnabled:boolean "
     "virtualMmuUsage virtualExecUsage snapshotPowerOffBehavior recordReplayEnabled:boolean "
     "faultToleranceType cbrcCacheEnabled:boolean vvtdEnabled:boolean vbsEnabled:boolean"},
    {"VirtualMachineDefaultPowerOpInfo", NULL,
     "powerOffType suspendType resetType defaultPowerOffType defaultSuspendType defaultResetType "
     "standbyAction"},
    {"VirtualMachineAffinityInfo", NULL, "affinitySet:int[]"},
    {"FaultToleranceConfigInfo", NULL,
     "role:int instanceUuids:string[] configPaths:string[] orphaned:boolean"},
    {"ManagedByInfo", NULL, "extensionKey type"},
    {"CryptoKeyId", NULL, "keyId providerId:KeyProviderId"},
    {"KeyProviderId", NULL, "id"},
    {"VmConfigInfo", NULL,
     "product:VAppProductInfo[] property:VAppPropertyInfo[] ipAssignment:VAppIPAssignmentInfo "
     "eula:string[] ovfSection:VAppOvfSectionInfo[] ovfEnvironmentTransport:string[] "
     "installBootRequired:boolean installBootStopDelay:int"},
    {"VirtualMachineQuestionInfo", NULL, "id text choice:ChoiceOption message:VirtualMachineMessage[]"},
    {"ResourceAllocationInfo", NULL,
     "reservation:long expandableReservation:boolean limit:long shares:SharesInfo overheadLimit:long"},
    {"SharesInfo", NULL, "shares:int level:SharesLevel"},
    {"OptionValue", NULL, "key value:anyType"},
    {"ToolsConfigInfo", NULL,
     "toolsVersion:int toolsInstallType afterPowerOn:boolean afterResume:boolean "
     "beforeGuestStandby:boolean beforeGuestShutdown:boolean beforeGuestReboot:boolean "
     "toolsUpgradePolicy pendingCustomization customizationKeyId:CryptoKeyId syncTimeWithHost:boolean "
     "lastInstallInfo:ToolsConfigInfoToolsLastInstallInfo upgradeRebootPredict:boolean"},
    {"GuestNicInfo", NULL,
     "network ipAddress:string[] macAddress connected:boolean deviceConfigId:int "
     "dnsConfig:NetDnsConfigInfo ipConfig:NetIpConfigInfo netBIOSConfig:NetBIOSConfigInfo"},
    {"GuestStackInfo", NULL,
     "dnsConfig:NetDnsConfigInfo ipRouteConfig:NetIpRouteConfigInfo ipStackConfig:KeyValue[] "
     "dhcpConfig:NetDhcpConfigInfo"},
    {"GuestDiskInfo", NULL, "diskPath capacity:long freeSpace:long"},
    {"NetIpConfigInfo", NULL,
     "ipAddress:NetIpConfigInfoIpAddress[] dhcp:NetDhcpConfigInfo autoConfigurationEnabled:boolean"},
    {"NetIpConfigInfoIpAddress", NULL, "ipAddress prefixLength:int origin state lifetime:dateTime"},
    {"NetIpRouteConfigInfo", NULL, "ipRoute:NetIpRouteConfigInfoIpRoute[]"},
    {"NetIpRouteConfigInfoIpRoute", NULL, "network prefixLength:int gateway:NetIpRouteConfigInfoGateway"},
    {"NetIpRouteConfigInfoGateway", NULL, "ipAddress device"},
    {"NetDnsConfigInfo", NULL, "dhcp:boolean hostName domainName ipAddress:string[] searchDomain:string[]"},
    {"Description", NULL, "label summary"},
    {"VirtualDeviceConnectInfo", NULL,
     "migrateConnect startConnected:boolean allowGuestControl:boolean connected:boolean status"},
    {"VirtualDevice", NULL,
     "key:int deviceInfo:Description backing:VirtualDeviceBackingInfo "
     "connectable:VirtualDeviceConnectInfo slotInfo:VirtualDeviceBusSlotInfo controllerKey:int "
     "unitNumber:int"},
    {"VirtualController", "VirtualDevice", "busNumber:int device:int[]"},
    {"VirtualSCSIController", "VirtualController",
     "hotAddRemove:boolean sharedBus:VirtualSCSISharing scsiCtlrUnitNumber:int"},
    {"VirtualBusLogicController", "VirtualSCSIController", ""},
    {"VirtualIDEController", "VirtualController", ""},
    {"VirtualSATAController", "VirtualController", ""},
    {"VirtualAHCIController", "VirtualSATAController", ""},
    {"VirtualNVMEController", "VirtualController", ""},
    {"ParaVirtualSCSIController", "VirtualSCSIController", ""},
    {"VirtualLsiLogicController", "VirtualSCSIController", ""},
    {"VirtualLsiLogicSASController", "VirtualSCSIController", ""},
    {"VirtualPCIController", "VirtualController", ""},
    {"VirtualUSBController", "VirtualController", "autoConnectDevices:boolean ehciEnabled:boolean"},
    {"VirtualDisk", "VirtualDevice",
     "capacityInKB:long capacityInBytes:long shares:SharesInfo "
     "storageIOAllocation:StorageIOAllocationInfo diskObjectId "
     "vFlashCacheConfigInfo:VirtualDiskVFlashCacheConfigInfo iofilter:string[] vDiskId "
     "nativeUnmanagedLinkedClone:boolean"},
    {"VirtualEthernetCard", "VirtualDevice",
     "addressType macAddress wakeOnLanEnabled:boolean "
     "resourceAllocation:VirtualEthernetCardResourceAllocation externalId "
     "uptCompatibilityEnabled:boolean"},
    {"VirtualVmxnet", "VirtualEthernetCard", ""},
    {"VirtualVmxnet3", "VirtualVmxnet", ""},
    {"VirtualE1000", "VirtualEthernetCard", ""},
    {"VirtualE1000e", "VirtualEthernetCard", ""},
    {"VirtualPCNet32", "VirtualEthernetCard", ""},
    {"VirtualUSB", "VirtualDevice",
     "connected:boolean vendor:int product:int family:string[] speed:string[]"},
    {"VirtualPCIPassthrough", "VirtualDevice", ""},
    {"VirtualTPM", "VirtualDevice",
     "endorsementKeyCertificateSigningRequest:base64Binary[] endorsementKeyCertificate:base64Binary[]"},
    {"VirtualCdrom", "VirtualDevice", ""},
    {"VirtualFloppy", "VirtualDevice", ""},
    {"VirtualSerialPort", "VirtualDevice", "yieldOnPoll:boolean"},
    {"VirtualSoundCard", "VirtualDevice", ""},
    {"VirtualDeviceBackingInfo", NULL, ""},
    {"VirtualDeviceFileBackingInfo", "VirtualDeviceBackingInfo",
     "fileName datastore:@Datastore backingObjectId"},
    {"VirtualDeviceDeviceBackingInfo", "VirtualDeviceBackingInfo", "deviceName useAutoDetect:boolean"},
    {"VirtualDeviceRemoteDeviceBackingInfo", "VirtualDeviceBackingInfo", "deviceName useAutoDetect:boolean"},
    {"VirtualDiskFlatVer2BackingInfo", "VirtualDeviceFileBackingInfo",
     "diskMode split:boolean writeThrough:boolean thinProvisioned:boolean eagerlyScrub:boolean uuid "
     "contentId changeId parent:VirtualDiskFlatVer2BackingInfo deltaDiskFormat digestEnabled:boolean "
     "deltaGrainSize:int deltaDiskFormatVariant sharing keyId:CryptoKeyId"},
    {"VirtualDiskRawDiskMappingVer1BackingInfo", "VirtualDeviceFileBackingInfo",
     "lunUuid deviceName compatibilityMode diskMode uuid contentId changeId "
     "parent:VirtualDiskRawDiskMappingVer1BackingInfo deltaDiskFormat deltaGrainSize:int sharing"},
    {"VirtualEthernetCardNetworkBackingInfo", "VirtualDeviceDeviceBackingInfo",
     "network:@Network inPassthroughMode:boolean"},
    {"VirtualCdromRemotePassthroughBackingInfo", "VirtualDeviceRemoteDeviceBackingInfo", "exclusive:boolean"},
    {"DatastoreSummary", NULL,
     "datastore:@Datastore name url capacity:long freeSpace:long uncommitted:long accessible:boolean "
     "multipleHostAccess:boolean type maintenanceMode"},
    {"DatastoreInfo", NULL,
     "name url freeSpace:long maxFileSize:long maxVirtualDiskCapacity:long maxMemoryFileSize:long "
     "timestamp:dateTime containerId aliasOf"},
    {"VmfsDatastoreInfo", "DatastoreInfo",
     "maxPhysicalRDMFileSize:long maxVirtualRDMFileSize:long vmfs:HostVmfsVolume "
     "lun:VmfsDatastoreInfoScsiLunInfo[]"},
    {"HostFileSystemVolume", NULL, "type name capacity:long"},
    {"HostVmfsVolume", "HostFileSystemVolume",
     "blockSizeMb:int blockSize:int unmapGranularity:int unmapPriority "
     "unmapBandwidthSpec:VmfsUnmapBandwidthSpec maxBlocks:int majorVersion:int version uuid "
     "extent:HostScsiDiskPartition[] vmfsUpgradable:boolean forceMountedInfo:HostForceMountedInfo "
     "ssd:boolean local:boolean scsiDiskType"},
    {"DatastoreHostMount", NULL, "key:@HostSystem mountInfo:HostMountInfo"},
    {"HostMountInfo", NULL, "path accessMode mounted:boolean accessible:boolean inaccessibleReason"},
    {"DatastoreCapability", NULL,
     "directoryHierarchySupported:boolean rawDiskMappingsSupported:boolean "
     "perFileThinProvisioningSupported:boolean storageIORMSupported:boolean "
     "nativeSnapshotSupported:boolean topLevelDirectoryCreateSupported:boolean "
     "seSparseSupported:boolean vmfsSparseSupported:boolean vsanSparseSupported:boolean "
     "upitSupported:boolean vmdkExpandSupported:boolean"},
    {"NetworkSummary", NULL, "network:@Network name accessible:boolean ipPoolName ipPoolId:int"},
    {"OpaqueNetworkSummary", "NetworkSummary", "opaqueNetworkId opaqueNetworkType"},
    {"HostRuntimeInfo", NULL,
     "connectionState:HostSystemConnectionState powerState:HostSystemPowerState standbyMode "
     "inMaintenanceMode:boolean inQuarantineMode:boolean bootTime:dateTime "
     "healthSystemRuntime:HealthSystemRuntime dasHostState:ClusterDasFdmHostState "
     "tpmPcrValues:HostTpmDigestInfo[] cpuCapacityForVm:long memoryCapacityForVm:long "
     "vsanRuntimeInfo:VsanHostRuntimeInfo networkRuntimeInfo:HostRuntimeInfoNetworkRuntimeInfo "
     "vFlashResourceRuntimeInfo:HostVFlashManagerVFlashResourceRunTimeInfo "
     "hostMaxVirtualDiskCapacity:long cryptoState cryptoKeyId:CryptoKeyId"},
    {"HostConfigInfo", NULL,
     "host:@HostSystem product:AboutInfo deploymentInfo:HostDeploymentInfo "
     "hyperThread:HostHyperThreadScheduleInfo consoleReservation:ServiceConsoleReservationInfo "
     "virtualMachineReservation:VirtualMachineMemoryReservationInfo "
     "storageDevice:HostStorageDeviceInfo multipathState:HostMultipathStateInfo "
     "fileSystemVolume:HostFileSystemVolumeInfo systemFile:string[] network:HostNetworkInfo "
     "vmotion:HostVMotionInfo virtualNicManagerInfo:HostVirtualNicManagerInfo "
     "capabilities:HostNetCapabilities datastoreCapabilities:HostDatastoreSystemCapabilities "
     "offloadCapabilities:HostNetOffloadCapabilities service:HostServiceInfo firewall:HostFirewallInfo "
     "autoStart:HostAutoStartManagerConfig activeDiagnosticPartition:HostDiagnosticPartition "
     "option:OptionValue[] optionDef:OptionDef[] datastorePrincipal localSwapDatastore:@Datastore "
     "systemSwapConfiguration:HostSystemSwapConfiguration systemResources:HostSystemResourceInfo "
     "dateTimeInfo:HostDateTimeInfo flags:HostFlagInfo adminDisabled:boolean "
     "lockdownMode:HostLockdownMode ipmi:HostIpmiInfo sslThumbprintInfo:HostSslThumbprintInfo "
     "sslThumbprintData:HostSslThumbprintInfo[] certificate:byte[] "
     "pciPassthruInfo:HostPciPassthruInfo[] authenticationManagerInfo:HostAuthenticationManagerInfo "
     "featureVersion:HostFeatureVersionInfo[] powerSystemCapability:PowerSystemCapability "
     "powerSystemInfo:PowerSystemInfo cacheConfigurationInfo:HostCacheConfigurationInfo[] "
     "wakeOnLanCapable:boolean featureCapability:HostFeatureCapability[] "
     "maskedFeatureCapability:HostFeatureCapability[] "
     "vFlashConfigInfo:HostVFlashManagerVFlashConfigInfo vsanHostConfig:VsanHostConfigInfo "
     "domainList:string[] scriptCheckSum:base64Binary hostConfigCheckSum:base64Binary "
     "graphicsInfo:HostGraphicsInfo[] sharedPassthruGpuTypes:string[] "
     "graphicsConfig:HostGraphicsConfig sharedGpuCapabilities:HostSharedGpuCapabilities[] "
     "ioFilterInfo:HostIoFilterInfo[] sriovDevicePool:HostSriovDevicePoolInfo[]"},
    {"HostListSummary", NULL,
     "host:@HostSystem hardware:HostHardwareSummary runtime:HostRuntimeInfo config:HostConfigSummary "
     "quickStats:HostListSummaryQuickStats overallStatus:ManagedEntityStatus rebootRequired:boolean "
     "customValue:CustomFieldValue[] managementServerIp maxEVCModeKey currentEVCModeKey "
     "gateway:HostListSummaryGatewaySummary tpmAttestation:HostTpmAttestationInfo"},
    {"ResourcePoolSummary", NULL,
     "name config:ResourceConfigSpec runtime:ResourcePoolRuntimeInfo quickStats:ResourcePoolQuickStats "
     "configuredMemoryMB:int"},
    {"DiskChangeInfo", NULL, "startOffset:long length:long changedArea:DiskChangeExtent[]"},
    {"DiskChangeExtent", NULL, "start:long length:long"},
    {"RetrieveResult", NULL, "token objects:ObjectContent[]"},
    {"ObjectContent", NULL, "obj:@ManagedObject propSet:DynamicProperty[] missingSet:MissingProperty[]"},
    {"DynamicProperty", NULL, "name val:anyType"},
    {"MissingProperty", NULL, "path fault:LocalizedMethodFault"},
    {"UpdateSet", NULL, "version filterSet:PropertyFilterUpdate[] truncated:boolean"},
    {"PropertyFilterUpdate", NULL,
     "filter:@PropertyFilter objectSet:ObjectUpdate[] missingSet:MissingObject[]"},
    {"ObjectUpdate", NULL,
     "kind:ObjectUpdateKind obj:@ManagedObject changeSet:PropertyChange[] missingSet:MissingProperty[]"},
    {"PropertyChange", NULL, "name op:PropertyChangeOp val:anyType"},
    {"EntityPrivilege", NULL, "entity:@ManagedEntity privAvailability:PrivilegeAvailability[]"},
    {"UserPrivilegeResult", NULL, "entity:@ManagedEntity privileges:string[]"},
    {"PrivilegeAvailability", NULL, "privId isGranted:boolean"},
    {"LocalizedMethodFault", NULL, "fault:MethodFault localizedMessage"},
    {"MethodFault", NULL, "msg faultCause:MethodFault faultMessage:LocalizableMessage[]"},
    {"RuntimeFault", "MethodFault", ""},
    {"VimFault", "MethodFault", ""},
    {"SecurityError", "RuntimeFault", ""},
    {"InvalidRequest", "RuntimeFault", ""},
    {"InvalidArgument", "RuntimeFault", "invalidProperty"},
    {"InvalidLogin", "VimFault", ""},
    {"InvalidLocale", "VimFault", ""},
    {"InvalidProperty", "MethodFault", "name"},
    {"NoPermission", "SecurityError", "object:@ManagedObject privilegeId"},
    {"NotAuthenticated", "NoPermission", ""},
    {"ManagedObjectNotFound", "RuntimeFault", "obj:@ManagedObject"},
    {"InvalidState", "VimFault", ""},
    {"InvalidPowerState", "InvalidState",
     "requestedState:VirtualMachinePowerState existingState:VirtualMachinePowerState"},
    {"TaskInProgress", "VimFault", "task:@Task"},
    {"ToolsUnavailable", "VimFault", ""},
    {"FileFault", "VimFault", "file"},
    {"FileLocked", "FileFault", ""},
    {"FileNotFound", "FileFault", ""},
    {"SnapshotFault", "VimFault", ""},
    {"TooManySnapshotLevels", "SnapshotFault", ""},
    {"ApplicationQuiesceFault", "SnapshotFault", ""},
    {"FilesystemQuiesceFault", "SnapshotFault", ""},
    {"NotSupported", "RuntimeFault", ""},
    {"MethodNotFound", "InvalidRequest", "receiver:@ManagedObject method"},
    {"InvalidCollectorVersion", "MethodFault", ""},
    {"SystemError", "RuntimeFault", "reason"},
    {"DuplicateName", "VimFault", "name object:@ManagedObject"},
    {"InvalidName", "VimFault", "name entity:@ManagedEntity"},
    {"InvalidType", "InvalidRequest", "argument"},
    {"RequestCanceled", "RuntimeFault", ""},
    {"VmConfigFault", "VimFault", ""},
    {"GenericVmConfigFault", "VmConfigFault", "reason"},
    {"InvalidVmConfig", "VmConfigFault", "property"},
    {"InvalidDeviceSpec", "InvalidVmConfig", "deviceIndex:int"},
    {"HostCommunication", "RuntimeFault", ""},
    {"HostNotConnected", "HostCommunication", ""},
    {"MethodDisabled", "RuntimeFault", "source"},
};

struct SchemaType {
    const char *name;
    const SchemaType *base;
    GArray *fields; /* SchemaField, inherited first */
};

/* "name:@Type[]" -> its parts, all interned. */
static SchemaField parse_field(const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL)
        return (SchemaField){.name = g_intern_string(text), .type = "string"};
    SchemaField field = {.array = g_str_has_suffix(colon, "[]"), .reference = colon[1] == '@'};
    g_autofree char *name = g_strndup(text, (gsize)(colon - text));
    const char *start = colon + 1 + (field.reference ? 1 : 0);
    g_autofree char *type = g_strndup(start, strlen(start) - (field.array ? 2 : 0));
    field.name = g_intern_string(name);
    field.type = g_intern_string(type);
    return field;
}

static SchemaType *make_type(GHashTable *types, guint row)
{
    SchemaType *type = g_new0(SchemaType, 1);
    type->name = TABLE[row].name;
    type->fields = g_array_new(FALSE, FALSE, sizeof(SchemaField));
    if (TABLE[row].base != NULL) {
        type->base = g_hash_table_lookup(types, TABLE[row].base);
        g_assert(type->base != NULL);
        g_array_append_vals(type->fields, type->base->fields->data, type->base->fields->len);
    }
    g_auto(GStrv) fields = g_strsplit(TABLE[row].fields, " ", -1);
    for (guint i = 0; fields[i] != NULL; i++)
        if (fields[i][0] != '\0') {
            SchemaField field = parse_field(fields[i]);
            g_array_append_val(type->fields, field);
        }
    return type;
}

static gpointer make_types(gpointer data)
{
    GHashTable *types = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < G_N_ELEMENTS(TABLE); i++)
        g_hash_table_insert(types, (gpointer)TABLE[i].name, make_type(types, i));
    return types;
}

const SchemaType *schema_type(const char *name)
{
    static GOnce once = G_ONCE_INIT;
    return g_hash_table_lookup(g_once(&once, make_types, NULL), name);
}

const char *schema_type_name(const SchemaType *type)
{
    return type->name;
}

gboolean schema_is(const char *name, const char *base)
{
    if (g_str_equal(name, base))
        return TRUE;
    for (const SchemaType *type = schema_type(name); type != NULL; type = type->base)
        if (g_str_equal(type->name, base))
            return TRUE;
    return FALSE;
}

gboolean schema_is_primitive(const char *name)
{
    static const char *const NAMES[] = {"string",  "boolean",      "byte",   "short",  "int",
                                        "long",    "float",        "double", "anyURI", "dateTime",
                                        "anyType", "base64Binary", NULL};
    return g_strv_contains(NAMES, name);
}

guint schema_n_fields(const SchemaType *type)
{
    return type->fields->len;
}

const SchemaField *schema_field(const SchemaType *type, guint index)
{
    return &g_array_index(type->fields, SchemaField, index);
}

int schema_find(const SchemaType *type, const char *field)
{
    for (guint i = 0; i < type->fields->len; i++)
        if (g_str_equal(schema_field(type, i)->name, field))
            return (int)i;
    return -1;
}

const SchemaField *schema_path(const char *type_name, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", -1);
    const SchemaField *field = NULL;
    for (guint i = 0; parts[i] != NULL; i++) {
        /* One cannot look into an array or through a reference. */
        const SchemaType *type = field == NULL                      ? schema_type(type_name)
                                 : field->array || field->reference ? NULL
                                                                    : schema_type(field->type);
        int found = type != NULL ? schema_find(type, parts[i]) : -1;
        if (found < 0)
            return NULL;
        field = schema_field(type, (guint)found);
    }
    return field;
}
