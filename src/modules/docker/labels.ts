/** Labels that tools for IoT Edge know our containers by. */
export const ownerLabel = 'net.azure-devices.edge.owner';
/** Value of `ownerLabel` on every container of ours. */
export const owner = 'Microsoft.Azure.Devices.Edge.Agent';
/** The image reference as it was configured. */
export const imageLabel = 'net.azure-devices.edge.original-image';
/** SHA-256 of the create request that a container was made from. */
export const digestLabel = 'org.iotedge.config-digest';
/** How the labels begin that IoT Edge tools keep data of their own in, environments among them. */
export const ownLabels = 'net.azure-devices.edge.';
/** The module that a container or a volume was made for. */
export const moduleLabel = 'org.iotedge.module';
