import type { RequestHeaders } from './connect.js';

/**
 * Whether a browser sends the request for a page of another origin. Browsers set these headers by themselves, and pages
 * cannot change them; schedulers send none of them.
 *
 * @param authority what the request was sent to: `localhost:3000`
 */
export function isCrossOrigin(
  { 'sec-fetch-site': site, origin }: RequestHeaders,
  authority: string | undefined,
): boolean {
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  // Sec-Fetch-Site is sent to https and to localhost only.
  if (origin === undefined) return false;
  return typeof origin !== 'string' || !URL.canParse(origin) || new URL(origin).host !== authority;
}
