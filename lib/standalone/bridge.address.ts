/** `bridge://NAME`: an application without an address, which fetches its runs. */
const BRIDGE = /^bridge:\/\/([^/?#\s]{1,255})\/?$/;

export const isBridge = (endpoint: string): boolean => BRIDGE.test(endpoint);

/** The name of a bridge; undefined for other endpoints. */
export const bridgeName = (endpoint: string): string | undefined => BRIDGE.exec(endpoint)?.[1];
