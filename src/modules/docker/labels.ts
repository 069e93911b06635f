/** The label by which tools for IoT Edge recognize our containers. */
export const ownerLabel = 'net.azure-devices.edge.owner';
/** Value of `ownerLabel` on every container of ours. */
export const owner = 'Microsoft.Azure.Devices.Edge.Agent';
/** The image reference as it was configured. */
export const imageLabel = 'net.azure-devices.edge.original-image';
/** SHA-256 of the create request of a container. */
export const digestLabel = 'org.iotedge.config-digest';
/** Prefix of the labels in which IoT Edge tools store their own data, environments among them. */
export const ownLabels = 'net.azure-devices.edge.';
/** The configuration of the agent, which it reads from the labels of its own container. */
export const agentLabels = {
  'net.azure-devices.edge.create-options': '{}',
  'net.azure-devices.edge.env': '{}',
} as const;
/** The module that a container or a volume was created for. */
export const moduleLabel = 'org.iotedge.module';
